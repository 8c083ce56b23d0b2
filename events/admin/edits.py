"""Edit and replay: a corrected event, which only the subscription of a dead letter gets.

The original stays in the log, and is the cause of the corrected one; its delivery is discarded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from events import clock, ledger, log
from events.admin import dead_letters
from events.admin.audit import Act
from events.admin.json_patches import Payload, patched
from events.edited_events import EditedEvent
from events.envelope import Envelope
from events.errors import InvalidPayload, UnknownDelivery
from events.event import decode, newest, stored_as
from events.inputs import reason_of
from events.ledger import DEAD_BY_KEY
from events.selection import named, parse
from events.tables import delivery_id

MAX_EDITS = 100  # dead letters in one act
Change = Callable[[Payload], Any]


@dataclass(frozen=True)
class Difference:
    """A value of the payload that an edit changes, by its JSON pointer."""

    path: str
    now: Any
    then: Any


@dataclass(frozen=True)
class Edit:
    """The edit of one dead letter; `corrected` is the id of the new delivery, once it is made."""

    delivery_id: str
    event_type: str
    version: int
    data: Payload
    diff: list[Difference]
    corrected: str | None = None


def replaced_by(data: Payload) -> Change:
    """Return the change to a whole payload."""
    return lambda _: data


def patched_by(patch: Sequence[Payload]) -> Change:
    """Return the change by a JSON Patch (RFC 6902), which raises `InvalidPayload`."""
    return lambda data: patched(data, patch)


def preview(session: Session, ids: Sequence[str], change: Change) -> list[Edit]:
    """Return what the edit would change. Raises `UnknownDelivery` and `InvalidPayload`.

    The errors of several name the dead letters that they are about, before the fields.
    """
    return _each(ids, lambda each: _edit(each, _found(session, each), change))


def edit(session: Session, ids: Sequence[str], change: Change, *, who: str, why: str) -> list[Edit]:
    """Publish a corrected event for each of these dead letters, to its subscription alone.

    Calls to the outside get a new key: they are other calls than those of the original. Raises as
    `preview` does, and `ReasonMissing`.
    """
    act = Act(who, "edit", *named({"ids": ids}, why))
    done = _each(ids, lambda each: _apply(session, _found(session, each), each, change))
    fields = sorted({found.path for each in done for found in each.diff})
    corrected = [each.corrected for each in done]
    act.record(session, len(done), ends=True, corrected=corrected, fields=fields)
    return done


def _each(ids: Sequence[str], edit_one: Callable[[str], Edit]) -> list[Edit]:
    done, wrong = list[Edit](), list[tuple[str, str]]()
    for each in ids:
        try:
            done.append(edit_one(each))
        except InvalidPayload as error:
            prefix = f"{each} " if len(ids) > 1 else ""
            wrong += [(f"{prefix}{field}", message) for field, message in error.errors]
    if wrong:
        raise InvalidPayload(wrong)
    return done


def links(session: Session, event_id: UUID, subscription: str) -> tuple[str | None, list[str]]:
    """Return the ids of the delivery that this one corrects, and of those that correct it."""
    either = or_(EditedEvent.event_id == event_id, EditedEvent.original_id == event_id)
    rows = session.scalars(
        select(EditedEvent).where(either, EditedEvent.subscription == subscription)
    ).all()
    original = [row.original_id for row in rows if row.event_id == event_id]
    corrected = [row.event_id for row in rows if row.original_id == event_id]
    return (
        next((delivery_id(each, subscription) for each in original), None),
        [delivery_id(each, subscription) for each in corrected],
    )


def _found(session: Session, letter_id: str) -> Envelope:
    letter = dead_letters.show(session, letter_id)
    [envelope] = log.read(session, [letter.event_id])
    return envelope


def _edit(letter_id: str, envelope: Envelope, change: Change) -> Edit:
    data = _checked(envelope, change(envelope.data))
    diff = list(_differences(envelope.data, data))
    if not diff:
        raise InvalidPayload([("data", "it is the same as before; replay it instead")])
    return Edit(letter_id, envelope.type, envelope.version, data, diff)


def _checked(envelope: Envelope, data: Any) -> Payload:
    """Return the payload as its event has it. Raises `InvalidPayload` with each wrong field."""
    stored = stored_as(envelope.type, envelope.version)
    if stored is None:
        known = newest(envelope.type)
        told = f"the newest one here is v{known}" if known else "none is known here"
        problem = f"{envelope.type} v{envelope.version} has no schema here; {told}"
        raise InvalidPayload([("data", problem)])
    try:
        checked = stored.model_validate(data).model_dump(mode="json")
        decode(envelope.type, envelope.version, checked)  # its upcasters must take it, too
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidPayload(
            [(".".join(("data", *map(str, each["loc"]))), reason_of(each)) for each in details]
        ) from error
    return checked


def _apply(session: Session, envelope: Envelope, letter_id: str, change: Change) -> Edit:
    found, now = _edit(letter_id, envelope, change), clock.now()
    event_id, subscription = parse(letter_id)
    letter = dead_letters.show(session, letter_id)
    this = and_(DEAD_BY_KEY, ledger.these([(subscription, event_id)]))
    if not ledger.discard(session, this):  # somebody else was faster
        raise UnknownDelivery(letter_id)
    corrected = uuid7()
    log.append(session, [_entry(envelope, corrected, found.data)])
    session.flush()
    session.add(
        EditedEvent(event_id=corrected, original_id=event_id, subscription=subscription, at=now)
    )
    row = ledger.new_delivery(subscription, letter.queue, corrected, now)
    ledger.insert_deliveries(session, [row])
    new_id = delivery_id(corrected, subscription)
    return Edit(letter_id, found.event_type, found.version, found.data, found.diff, new_id)


def _entry(envelope: Envelope, event_id: UUID, data: Payload) -> dict[str, Any]:
    """Return the entry of the corrected event: it counts as relayed, so nobody else gets it."""
    now = clock.now()
    return {
        "id": event_id,
        "type": envelope.type,
        "version": envelope.version,
        "source": envelope.source,
        "subject": envelope.subject,
        "time": now,
        "correlation_id": envelope.correlation_id,
        "causation_id": envelope.id,
        "actor": envelope.actor.known(),
        "traceparent": envelope.traceparent,
        "data": data,
        "publish_at": now,
        "relayed_at": now,
    }


def _differences(now: Any, then: Any, path: str = "") -> Iterator[Difference]:
    if isinstance(now, dict) and isinstance(then, dict):
        for name in dict.fromkeys((*now, *then)):
            part = str(name).replace("~", "~0").replace("/", "~1")
            yield from _differences(now.get(name), then.get(name), f"{path}/{part}")
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for index, (old, new) in enumerate(zip(now, then, strict=True)):
            yield from _differences(old, new, f"{path}/{index}")
    elif now != then:
        yield Difference(path, now, then)
