"""Subscriptions as rows: register, pause, resume, unregister."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, select, update
from sqlalchemy.orm import Session

from events import clock, ledger, log
from events.admin import audit
from events.admin.audit import Act
from events.admin.slices import MAX_ROWS, Progress, Stage, carry_out
from events.database import marking, reading, transaction
from events.dialects import dialect_of
from events.dialects.prepared import Prepared
from events.errors import UnknownSubscription
from events.ledger import IS_DEAD, IS_IN_FLIGHT, IS_TO_SEND
from events.orm import table_of
from events.retry import Retry
from events.subscriptions import Subscription
from events.tables import Delivery, SubscriptionRow


def register(session: Session, subscriptions: Iterable[Subscription]) -> None:
    """Insert or update the rows of these subscriptions, and mark all as seen now."""
    _wait_for_fan_outs(session)
    known = {row.name: row for row in session.scalars(select(SubscriptionRow))}
    now = clock.now()
    for subscription in subscriptions:
        values = _values(subscription) | {"last_seen": now}
        row = known.get(subscription.name)
        if row is None:
            session.add(SubscriptionRow(name=subscription.name, first_registered=now, **values))
        else:
            for name, value in values.items():
                setattr(row, name, value)
    session.flush()


def _wait_for_fan_outs(session: Session) -> None:
    """Wait for the fan-outs under way.

    An event is relayed either with the subscriptions registered now or before the backfill.
    """
    dialect_of(session).lock_table(session, SubscriptionRow.__tablename__)


def _values(subscription: Subscription) -> dict[str, Any]:
    return {
        "queue": subscription.queue,
        "event_types": subscription.event_types,
        "policy": asdict(subscription.retry),
        "batch": subscription.batch,
        "depends_on": subscription.depends_on,
    }


def touch(subscriptions: Iterable[Subscription]) -> None:
    """Register missing subscriptions, and mark the others as served now, in its own transaction.

    Of an existing row only the list of types grows, for the caller may be the older worker of two:
    the rest is changed by `register`, at `tidings migrate`.
    """
    wanted = {each.name: each for each in subscriptions}
    with marking() as connection:
        known = _mark_served(connection, wanted)
    if any(set(each.event_types) - known.get(name, set()) for name, each in wanted.items()):
        _register_missing(wanted)


_ROWS = table_of(SubscriptionRow)
_SERVED = Prepared(
    update(_ROWS).where(_ROWS.c.name == bindparam("ours")).returning(_ROWS.c.event_types),
    *("ours", "last_seen"),
)


def _mark_served(connection: Connection, names: Iterable[str]) -> dict[str, set[str]]:
    """Mark the subscriptions that have a row as served now; return the event types of each.

    In any other order two workers, or one and a fan-out, could block each other.
    """
    now = clock.now()
    rows = {name: _SERVED.run(connection, ours=name, last_seen=now) for name in sorted(names)}
    return {name: set(row.event_types) for name, found in rows.items() for row in found}


def _register_missing(wanted: Mapping[str, Subscription]) -> None:
    """Insert the rows that are missing and widen those that are too narrow; mark all as served."""
    with transaction() as session:
        found = session.scalars(select(SubscriptionRow).where(SubscriptionRow.name.in_(wanted)))
        rows = {row.name: row for row in found}
        if missing := [each for name, each in wanted.items() if name not in rows]:
            register(session, missing)
        if wider := [row for row in rows.values() if _new_types(row, wanted[row.name])]:
            _wait_for_fan_outs(session)
            for row in wider:
                session.refresh(row)
                row.event_types = sorted({*row.event_types, *wanted[row.name].event_types})
            session.flush()
        _mark_served(session.connection(), wanted)


def _new_types(row: SubscriptionRow, subscription: Subscription) -> set[str]:
    return set(subscription.event_types) - set(row.event_types)


def listed(session: Session) -> Sequence[SubscriptionRow]:
    """Return every subscription, by name."""
    return session.scalars(select(SubscriptionRow).order_by(SubscriptionRow.name)).all()


def find(session: Session, name: str) -> SubscriptionRow:
    """Return the subscription called `name`. Raises `UnknownSubscription`."""
    row = session.get(SubscriptionRow, name) if name.isprintable() else None
    if row is None:
        raise UnknownSubscription(name, session.scalars(select(SubscriptionRow.name)))
    return row


def policy_of(registered: Mapping[str, Any]) -> Retry:
    """Return the retry policy that a subscription's row has in `policy`."""
    # The row may be that of another version, with fields that this one does not have.
    known = {each.name for each in fields(Retry)}
    return Retry(**{name: value for name, value in registered.items() if name in known})


def pause(session: Session, name: str, *, who: str, why: str) -> bool:
    """Stop the subscription's sends; its backlog is kept. Raises `UnknownSubscription`.

    Return False, and change nothing, if it is paused already.
    """
    row = find(session, name)
    if row.paused_at is not None:
        return False
    row.paused_at, row.paused_by, row.paused_why = clock.now(), who, why
    audit.record(session, who=who, action="pause", target=name, why=why)
    return True


def resume(session: Session, name: str, *, who: str, why: str) -> bool:
    """Send the subscription's backlog, and go on. Raises `UnknownSubscription`.

    Return False, and change nothing, if it is not paused.
    """
    row = find(session, name)
    if row.paused_at is None:
        return False
    row.paused_at = row.paused_by = row.paused_why = None
    audit.record(session, who=who, action="resume", target=name, why=why)
    log.wake(session)
    return True


def unregister(
    name: str, *, who: str, why: str, progress: Progress | None = None, at_once: int = MAX_ROWS
) -> int:
    """Remove a subscription whose code is gone, and discard its open and dead deliveries.

    The dead too: replayed, they would wait for ever for a subscription that is not there. It is
    done in slices, after the subscription itself; run again after a failure it goes on. Returns the
    number of deliveries. Raises `UnknownSubscription` and `ReasonMissing`.
    """
    act = Act(who, "remove", name, why)
    parts = [and_(Delivery.subscription == name, part) for part in _LEFT]
    with reading() as session:
        if not any(session.scalar(select(exists().where(part))) for part in parts):
            find(session, name)
    with transaction() as session:
        row = select(SubscriptionRow).where(SubscriptionRow.name == name).with_for_update()
        if found := session.scalar(row):
            session.delete(found)
            session.flush()
            act.record(session, 0, ends=False)
    stages = [_discarding(part) for part in parts]
    return carry_out(act, stages, progress=progress, at_once=at_once)


_LEFT = (IS_TO_SEND, IS_IN_FLIGHT, IS_DEAD)  # each has an index of its own


def _discarding(left: ColumnElement[bool]) -> Stage:
    wanted = select(Delivery.event_id).where(left)
    return Stage(
        lambda session, limit: session.scalars(wanted.limit(limit)).all(),
        lambda session, ids, _: ledger.discard(session, and_(left, Delivery.event_id.in_(ids))),
    )
