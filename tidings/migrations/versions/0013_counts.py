"""Create the tables of the counts: what each subscription did, in all and by minute."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = depends_on = None

COUNTS = (
    "handled",
    "failed",
    "retried",
    "died",
    "replayed",
    "milliseconds",
    "within_10_ms",
    "within_25_ms",
    "within_50_ms",
    "within_100_ms",
    "within_250_ms",
    "within_500_ms",
    "within_1_s",
    "within_2500_ms",
    "within_5_s",
    "within_10_s",
    "within_30_s",
    "within_1_min",
    "within_5_min",
    "within_30_min",
    "within_2_h",
    "later",
)


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "count_totals",
        sa.Column("subscription", sa.String(length=200), nullable=False),
        *_counts(),
        sa.PrimaryKeyConstraint("subscription", name=op.f("pk_count_totals")),
    )
    op.create_table(
        "counts_by_minute",
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        *_counts(),
        sa.PrimaryKeyConstraint("minute", "subscription", name=op.f("pk_counts_by_minute")),
        sqlite_with_rowid=False,
    )


def _counts() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS]
