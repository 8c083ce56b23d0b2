"""The triage of groups of dead letters: state, owner, note, link.

    open, on hold ──> fixed in a version, closed ──a new death of the group──> regressed

Nothing is written when a group regresses: it is read from the time of its latest death.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import String, Text, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import clock
from events.admin import audit
from events.admin.dead_letters import Group
from events.admin.free_texts import register_free_text
from events.errors import UnknownGroup
from events.inputs import PlainText
from events.ledger import IS_DEAD
from events.orm import Base, BigInt, BigIntPK, insert_if_absent
from events.replays.tables import JobState, Replay
from events.tables import Delivery

State = Literal["open", "on hold", "fixed", "closed"]
STATES: tuple[State, ...] = ("open", "on hold", "fixed", "closed")
REGRESSED = "regressed"
_SETTLED = ("fixed", "closed")


class GroupTriage(Base):
    """The notes of people about one group of dead letters."""

    __tablename__ = "group_triage"
    __table_args__ = (UniqueConstraint("subscription", "fingerprint"),)

    id: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    subscription: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(300))
    state: Mapped[str] = mapped_column(String(10))
    version: Mapped[str] = mapped_column(String(100))
    owner: Mapped[str] = mapped_column(String(100))
    note: Mapped[str] = mapped_column(Text)
    link: Mapped[str] = mapped_column(Text)
    settled_at: Mapped[datetime | None]  # fixed or closed since
    changed_at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(String(200))


class FixCanary(Base):
    """The canary of a group that was fixed in a version: a replay of one dead letter.

    The key lets there be one, whatever the number of relays and workers.
    """

    __tablename__ = "fix_canaries"

    subscription: Mapped[str] = mapped_column(String(200), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(300), primary_key=True)
    version: Mapped[str] = mapped_column(String(100), primary_key=True)
    replay_id: Mapped[BigInt]
    started_at: Mapped[datetime]


for text in (GroupTriage.owner, GroupTriage.note, GroupTriage.link):
    register_free_text(text)


def _link(text: str) -> str:
    """Check an address that a page will link to: no other scheme, and no login in it."""
    try:
        parts = urlsplit(text)
        is_link = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_link = is_link and "@" not in parts.netloc and not any(map(str.isspace, text))
    except ValueError:  # brackets that enclose no IPv6 address
        is_link = False
    if text and not is_link:
        raise PydanticCustomError(
            "link", "write an address with http or https, such as https://tickets.example/4718"
        )
    return text


class TriageChange(BaseModel):
    """The values of a group to change. What is left out stays, and an empty text removes one."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = None
    version: Annotated[str, PlainText(100)] | None = None
    owner: Annotated[str, PlainText(100, optional=True)] | None = None
    note: Annotated[str, PlainText(1000, optional=True, folds=True)] | None = None
    link: Annotated[str, PlainText(500, optional=True), AfterValidator(_link)] | None = None

    @model_validator(mode="after")
    def check_state(self) -> "TriageChange":
        """Require a change, and a version for what is fixed and for nothing else."""
        if not self.given():
            raise PydanticCustomError("triage", "give a state, an owner, a note or a link")
        if (self.state == "fixed") != (self.version is not None):
            raise PydanticCustomError(
                "triage", "a version belongs to the state fixed, and fixed needs one"
            )
        return self

    def given(self) -> dict[str, Any]:
        """Return the values that change."""
        return {name: getattr(self, name) for name in _VALUES if getattr(self, name) is not None}


_VALUES = ("state", "version", "owner", "note", "link")


@dataclass(frozen=True)
class Triage:
    """The triage of a group as it is shown; `regressed` is fixed or closed, and died again.

    `canary` is the number of the replay that tried one dead letter on workers of the version.
    """

    state: str = "open"
    version: str = ""
    owner: str = ""
    note: str = ""
    link: str = ""
    changed_at: datetime | None = None
    changed_by: str = ""
    canary: int | None = None
    canary_outcome: str = ""


def change(
    session: Session,
    subscription: str,
    fingerprint: str,
    values: TriageChange,
    *,
    who: str,
    why: str,
) -> None:
    """Change the triage of a group. Raises `UnknownGroup` and `ReasonMissing`."""
    row, latest = _locked(session, subscription, fingerprint)
    given, now = values.given(), clock.now()
    if values.state is not None:
        row.version = ""
        row.settled_at = max(now, latest or now) if values.state in _SETTLED else None
    for name, value in given.items():
        setattr(row, name, value)
    row.changed_at, row.changed_by = now, who
    session.flush()
    target = f"dead letters of subscription {subscription}, fingerprint {fingerprint}"
    audit.record(session, who=who, action="triage", target=target, why=why, parameters=given)


def _locked(
    session: Session, subscription: str, fingerprint: str
) -> tuple[GroupTriage, datetime | None]:
    """Return the row of a group, locked, and the time of the group's latest death."""
    group = {"subscription": subscription, "fingerprint": fingerprint}
    theirs = select(GroupTriage).filter_by(**group)
    dead = (Delivery.subscription == subscription, Delivery.fingerprint == fingerprint)
    latest = session.scalar(select(func.max(Delivery.died_at)).where(IS_DEAD, *dead))
    if latest is None and session.scalar(theirs) is None:
        raise UnknownGroup(subscription, fingerprint)
    texts = dict.fromkeys(("version", "owner", "note", "link", "changed_by"), "")
    new = {**group, **texts, "state": "open", "settled_at": None, "changed_at": clock.now()}
    insert_if_absent(session, GroupTriage, new)
    return session.scalars(theirs.with_for_update()).one(), latest


def of_groups(session: Session, groups: Sequence[Group]) -> list[Triage]:
    """Return the triage of each group."""
    names = {group.subscription for group in groups}
    wanted = select(GroupTriage).where(GroupTriage.subscription.in_(names))
    rows = {(row.subscription, row.fingerprint): row for row in session.scalars(wanted)}
    canaries = _canaries(session, names) if any(row.version for row in rows.values()) else {}
    return [
        _view(rows.get((each.subscription, each.fingerprint)), each, canaries) for each in groups
    ]


_Key = tuple[str, str, str]  # subscription, fingerprint, version


def _canaries(session: Session, names: Collection[str]) -> dict[_Key, tuple[int, str]]:
    """Return the number and the outcome of each canary of these subscriptions."""
    found = select(FixCanary, Replay).outerjoin(Replay, Replay.id == FixCanary.replay_id)
    return {
        (each.subscription, each.fingerprint, each.version): (each.replay_id, _outcome(job))
        for each, job in session.execute(found.where(FixCanary.subscription.in_(names)))
    }


def _outcome(job: Replay | None) -> str:
    if job is None:
        return ""
    outcomes = (
        (job.failed, "died again"),
        (job.done, "handled"),
        (job.skipped, "skipped"),
        (job.state == JobState.STOPPED and not job.open, "stopped"),
    )
    return next((outcome for found, outcome in outcomes if found), "under way")


def _view(
    row: GroupTriage | None, group: Group, canaries: Mapping[_Key, tuple[int, str]]
) -> Triage:
    if row is None:
        return Triage()
    again = row.settled_at is not None and group.last > row.settled_at
    key = (row.subscription, row.fingerprint, row.version)
    canary, outcome = canaries.get(key, (None, ""))
    return Triage(
        state=REGRESSED if again else row.state,
        version=row.version,
        owner=row.owner,
        note=row.note,
        link=row.link,
        changed_at=row.changed_at,
        changed_by=row.changed_by,
        canary=canary,
        canary_outcome=outcome,
    )
