"""The tables of the counts: what each subscription did, in all and by minute."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from events.orm import Base, BigInt, table_of

# The columns of the histogram, and the seconds from commit to effect that each ends with.
BOUNDS = {
    "within_10_ms": 0.01,
    "within_25_ms": 0.025,
    "within_50_ms": 0.05,
    "within_100_ms": 0.1,
    "within_250_ms": 0.25,
    "within_500_ms": 0.5,
    "within_1_s": 1.0,
    "within_2500_ms": 2.5,
    "within_5_s": 5.0,
    "within_10_s": 10.0,
    "within_30_s": 30.0,
    "within_1_min": 60.0,
    "within_5_min": 300.0,
    "within_30_min": 1800.0,
    "within_2_h": 7200.0,
    "later": float("inf"),
}
OUTCOMES = ("handled", "failed", "retried", "died", "replayed")
COUNTS = (*OUTCOMES, "milliseconds", *BOUNDS)


class _Counts:
    """The counts of one subscription. Each handled delivery is in one column of the histogram."""

    handled: Mapped[BigInt] = mapped_column(default=0)
    failed: Mapped[BigInt] = mapped_column(default=0)  # attempts, each retried or the last
    retried: Mapped[BigInt] = mapped_column(default=0)
    died: Mapped[BigInt] = mapped_column(default=0)
    replayed: Mapped[BigInt] = mapped_column(default=0)
    milliseconds: Mapped[BigInt] = mapped_column(default=0)  # from commit to effect, of all handled
    within_10_ms: Mapped[BigInt] = mapped_column(default=0)
    within_25_ms: Mapped[BigInt] = mapped_column(default=0)
    within_50_ms: Mapped[BigInt] = mapped_column(default=0)
    within_100_ms: Mapped[BigInt] = mapped_column(default=0)
    within_250_ms: Mapped[BigInt] = mapped_column(default=0)
    within_500_ms: Mapped[BigInt] = mapped_column(default=0)
    within_1_s: Mapped[BigInt] = mapped_column(default=0)
    within_2500_ms: Mapped[BigInt] = mapped_column(default=0)
    within_5_s: Mapped[BigInt] = mapped_column(default=0)
    within_10_s: Mapped[BigInt] = mapped_column(default=0)
    within_30_s: Mapped[BigInt] = mapped_column(default=0)
    within_1_min: Mapped[BigInt] = mapped_column(default=0)
    within_5_min: Mapped[BigInt] = mapped_column(default=0)
    within_30_min: Mapped[BigInt] = mapped_column(default=0)
    within_2_h: Mapped[BigInt] = mapped_column(default=0)
    later: Mapped[BigInt] = mapped_column(default=0)


class CountTotal(_Counts, Base):
    """The counts of a subscription since its first delivery. They outlive pruned deliveries."""

    __tablename__ = "count_totals"

    subscription: Mapped[str] = mapped_column(String(200), primary_key=True)


class CountOfMinute(_Counts, Base):
    """The counts of a subscription in one minute, kept for a day."""

    __tablename__ = "counts_by_minute"
    __table_args__ = ({"sqlite_with_rowid": False},)

    minute: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)  # since 1970
    subscription: Mapped[str] = mapped_column(String(200), primary_key=True)


TOTALS, MINUTES = table_of(CountTotal), table_of(CountOfMinute)
