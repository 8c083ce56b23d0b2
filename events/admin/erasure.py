"""Erasure of a person from log, ledger, invalid messages and audit; ids and numbers stay.

It is done in slices, and the rows by which a person is found are erased last: an erasure that was
stopped goes on when it is run again. A service that keeps personal data in tables of its own
registers an eraser, `register_eraser` or, if a person may have many rows, `register_stage`, or a
column, `free_texts.register_free_text`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, or_, select, update
from sqlalchemy.orm import Session

from events import ledger
from events.admin import audit_chain, erased_events, free_texts
from events.admin.audit import Act
from events.admin.free_texts import redact
from events.admin.person import Person
from events.admin.slices import MAX_ROWS, Progress, Stage, carry_out
from events.admin.sought_texts import contains, sought_in
from events.audit_tables import AuditEntry
from events.dialects import dialect_of
from events.emails import email_key
from events.personal import ERASED
from events.replays.tables import Replay, ReplayedDelivery
from events.selection import BY_ID
from events.tables import Attempt, Delivery, InvalidMessageRow

_IDS_AT_ONCE = 500  # in the condition of one statement
_KINDS = (
    *("invalid_messages", "attempts", "deliveries", "audit", "replays", "events"),
    *("scheduled events", "mentions elsewhere"),
)
_PAGE = 100  # invalid messages that are read at once: they can be large

Eraser = Callable[[Session, Person], int]
StageOf = Callable[[Person], Stage]
_stages_of: dict[str, StageOf] = {}
_last: set[str] = set()


def register_eraser(what: str, *, last: bool = False) -> Callable[[Eraser], Eraser]:
    """Register a function that erases a person from a service's tables and returns the row count.

    It runs after the log is erased, each time in a transaction of its own, until it returns 0: so
    it may erase a part, such as a hundred rows, and must return 0 if nothing is left. The table by
    which the person is found comes `last`, after all others.
    """

    def register(eraser: Eraser) -> Eraser:
        register_stage(what, last=last)(partial(_repeated, eraser))
        return eraser

    return register


def register_stage(what: str, *, last: bool = False) -> Callable[[StageOf], StageOf]:
    """Register a function that returns the stage which erases a person from a service's table.

    It finds the rows without a write lock and changes them slice by slice, and comes when an eraser
    would.
    """

    def register(stage_of: StageOf) -> StageOf:
        _stages_of[what] = stage_of
        if last:
            _last.add(what)
        return stage_of

    return register


def erase(
    person: Person,
    *,
    who: str,
    why: str,
    progress: Progress | None = None,
    at_once: int = MAX_ROWS,
) -> dict[str, int]:
    """Erase the person; return how many rows of each kind changed.

    The audit records it with a hash of the address, so that the line can be found by the address;
    it records no erasure that found nothing. Raises `ReasonMissing`.
    """
    counts = Counter(dict.fromkeys((*_KINDS, *_stages_of), 0))
    stages = [_overwriting(stage) for stage in _stages(person, counts)]
    carry_out(act_of(person.email, who=who, why=why), stages, progress=progress, at_once=at_once)
    return dict(counts)


def act_of(email: str, *, who: str, why: str) -> Act:
    """Return the act as the audit records it, without the address."""
    return Act(who, "erase", f"customer {digest(email)}", redact(why, email))


def digest(email: str) -> str:
    """Return the SHA-256 of an address, the same for all its spellings: the audit names it so."""
    return hashlib.sha256(email_key(email).encode()).hexdigest()


def _overwriting(stage: Stage) -> Stage:
    def change(session: Session, rows: Sequence[Any], noted: dict[str, Any]) -> int:
        dialect_of(session).overwrite_deleted_rows(session)
        done = stage.change(session, rows, noted)
        session.flush()
        return done

    return replace(stage, change=change)


def _stages(person: Person, counts: Counter[str]) -> Iterator[Stage]:
    yield _invalid_messages(person).counted(counts, "invalid_messages")
    chunks = range(0, len(person.events), _IDS_AT_ONCE)
    events = [person.events[start : start + _IDS_AT_ONCE] for start in chunks]
    for ids in events:
        yield _attempts(ids).counted(counts, "attempts")
        yield _errors(ids).counted(counts, "deliveries")
        yield _audited(_about_events(ids)).counted(counts, "audit")
        yield _replays(ids).counted(counts, "replays")
    yield _audited(AuditEntry.target.in_(person.subjects)).counted(counts, "audit")
    for ids in events:
        yield erased_events.in_log(person, ids).counted(counts, "events")
    yield erased_events.scheduled(person).counted(counts, "scheduled events")
    for stage in free_texts.mentions(person.email):
        yield stage.counted(counts, "mentions elsewhere")
    for name in sorted(_stages_of, key=_last.__contains__):
        yield _stages_of[name](person).counted(counts, name)


def _invalid_messages(person: Person) -> Stage:
    sought, after = sought_in(person), 0

    def find(session: Session, limit: int) -> list[int]:
        found, read = list[int](), after
        while len(found) < limit:
            page = select(InvalidMessageRow).where(InvalidMessageRow.id > read)
            rows = session.scalars(page.order_by(InvalidMessageRow.id).limit(_PAGE)).all()
            found += [row.id for row in rows if contains(row, sought)]
            if len(rows) < _PAGE:
                break
            read = rows[-1].id
            session.expunge_all()
        return found[:limit]

    def change(session: Session, ids: Sequence[int], _: Any) -> int:
        nonlocal after
        after = ids[-1]
        cleared = {"body": ERASED.encode(), "headers": "{}", "error": ""}
        changed = update(InvalidMessageRow).where(InvalidMessageRow.id.in_(ids)).values(cleared)
        return _row_count(session, changed)

    return Stage(find, change)


def _row_count(session: Session, changed: Any) -> int:
    done = session.execute(changed.execution_options(synchronize_session=False))
    return int(done.rowcount)  # type: ignore[attr-defined]  # a cursor's result


def _attempts(event_ids: Sequence[UUID]) -> Stage:
    texts = (Attempt.message, Attempt.traceback)
    left = or_(*(text.not_in(("", ERASED)) for text in texts))
    wanted = select(Attempt.id).where(Attempt.event_id.in_(event_ids), left)
    values = {text: case((text == "", ""), else_=ERASED) for text in texts}

    def change(session: Session, ids: Sequence[int], _: Any) -> int:
        return _row_count(session, update(Attempt).where(Attempt.id.in_(ids)).values(values))

    return Stage(lambda session, limit: session.scalars(wanted.limit(limit)).all(), change)


def _errors(event_ids: Sequence[UUID]) -> Stage:
    left = and_(Delivery.event_id.in_(event_ids), Delivery.error.not_in(("", ERASED)))
    wanted = select(Delivery.subscription, Delivery.event_id).where(left)

    def change(session: Session, keys: Sequence[Any], _: Any) -> int:
        return ledger.replace_errors(session, ledger.these(map(tuple, keys)), ERASED)

    return Stage(lambda session, limit: session.execute(wanted.limit(limit)).all(), change)


def _about_events(event_ids: Sequence[UUID]) -> ColumnElement[bool]:
    """Select the lines about deliveries of these events, one by one or among others."""
    ids = [str(event_id) for event_id in event_ids]
    named = or_(*(cast(AuditEntry.parameters, Text).contains(each) for each in ids))
    of_one = func.substr(AuditEntry.target, 1, 36).in_(ids)
    return or_(of_one, and_(AuditEntry.target == BY_ID, named))


def _audited(about: ColumnElement[bool]) -> Stage:
    """Clear the reasons of the lines about the person's orders and deliveries: free texts."""
    wanted = select(AuditEntry.id).where(about, AuditEntry.why.not_in(("", ERASED)))

    def change(session: Session, ids: Sequence[int], noted: dict[str, Any]) -> int:
        redacted = noted.setdefault(audit_chain.REDACTED, {})
        for line in ids:
            redacted[str(line)] = audit_chain.redact(session, line, {"why": ERASED})
        return len(ids)

    return Stage(lambda session, limit: session.scalars(wanted.limit(limit)).all(), change)


def _replays(event_ids: Sequence[UUID]) -> Stage:
    """Clear the reasons of replays whose deliveries were chosen one by one: free texts."""
    theirs = select(ReplayedDelivery.replay_id).where(ReplayedDelivery.event_id.in_(event_ids))
    by_id = cast(Replay.selection, Text).contains('"ids"')
    left = or_(Replay.why.not_in(("", ERASED)), Replay.stopped_because.not_in(("", ERASED)))
    wanted = select(Replay.id).where(Replay.id.in_(theirs), by_id, left)
    because = case((Replay.stopped_because.is_(None), None), else_=ERASED)

    def change(session: Session, ids: Sequence[int], _: Any) -> int:
        cleared = {Replay.why: ERASED, Replay.stopped_because: because}
        return _row_count(session, update(Replay).where(Replay.id.in_(ids)).values(cleared))

    return Stage(lambda session, limit: session.scalars(wanted.limit(limit)).all(), change)


def _repeated(eraser: Eraser, person: Person) -> Stage:
    """Run an eraser, each time in a transaction of its own, until it finds no row."""
    rounds = [0]

    def change(session: Session, _: Any, __: Any) -> int:
        done = eraser(session, person)
        rounds[:] = [rounds[0] + 1] if done else []
        return done

    # As many as are asked for: only an eraser knows if it has finished.
    return Stage(lambda _, limit: rounds * limit, change, divisible=False)
