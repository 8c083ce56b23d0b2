"""Edit and replay: a corrected event for one subscription, checked, audited, linked."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from events import Database, DeadLetter, Retry, reading, transaction
from events.admin import audit, edits, replays
from events.admin.edits import patched_by, replaced_by
from events.edited_events import EditedEvent
from events.errors import InvalidPayload, NothingToReplay, UnknownDelivery
from events.tables import Delivery, LogEntry
from events.testing import Bus
from tests.events.sample import Noted, deliveries, mark, marks, new_subscription, note

RIGHT = [{"op": "replace", "path": "/text", "value": "right"}]
PLACES = ("/nothing", "/nothing/0", "/text/0")
LISTED = {"op": "replace", "path": "/text", "value": [1]}
DOUBLED = [{"op": "copy", "from": "/text", "path": "/text/0"}] * 60
DEEPER = [{"op": "copy", "from": "/text", "path": "/text" + "/0" * 2**each} for each in range(11)]


def refuse_wrong(event: Noted, session: Session) -> None:
    if event.text.startswith("wrong"):
        raise DeadLetter("it is wrong")
    mark(event, session)


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """Two subscriptions to two notes that one of them cannot handle."""
    strict = new_subscription(refuse_wrong, retry=Retry(attempts=1))
    other = new_subscription(name="others.mark", retry=Retry(attempts=1))
    with Bus(subscriptions=[strict, other], fail_fast=False) as bus:
        note("wrong 1", "wrong 2")
        bus.drain()
        yield bus


def letters() -> list[str]:
    return [row.id for row in deliveries() if row.state == "dead"]


def edit(ids: list[str], change: edits.Change) -> list[edits.Edit]:
    with transaction() as session:
        return edits.edit(session, ids, change, who="ada", why="a typing mistake")


def test_a_corrected_event_is_handled_by_the_subscription_of_the_dead_letter_alone(
    bus: Bus,
) -> None:
    first, second = letters()
    [done] = edit([first], replaced_by({"text": "right"}))
    bus.drain()

    assert marks() == {"wrong 1": 1, "wrong 2": 1, "right": 1}  # the others' and the corrected one
    assert letters() == [second]
    assert [(each.path, each.now, each.then) for each in done.diff] == [
        ("/text", "wrong 1", "right")
    ]
    with reading() as session:
        rows = {str(row.id): row for row in session.scalars(select(LogEntry))}
    original, corrected = (rows[each.partition(":")[0]] for each in (first, str(done.corrected)))
    assert (original.data, corrected.data) == ({"text": "wrong 1"}, {"text": "right"})
    assert corrected.causation_id == original.id
    assert corrected.correlation_id == original.correlation_id
    assert corrected.subject == original.subject
    by_state = {row.id: row.state for row in deliveries()}
    assert (by_state[first], by_state[str(done.corrected)]) == ("discarded", "done")


def test_the_edit_is_one_line_of_the_audit_and_links_both_ways(bus: Bus) -> None:
    first = letters()[0]
    [done] = edit([first], patched_by(RIGHT))
    assert done.corrected is not None
    with reading() as session:
        [line] = audit.listed(session)
        [row] = [each for each in deliveries() if each.id == done.corrected]
        original = next(each for each in deliveries() if each.id == first)
        assert edits.links(session, row.event_id, row.subscription) == (first, [])
        assert edits.links(session, original.event_id, row.subscription) == (None, [done.corrected])

    assert (line.who, line.action, line.target, line.why) == (
        *("ada", "edit", first, "a typing mistake"),
    )
    assert line.parameters == {"corrected": [done.corrected], "fields": ["/text"]}


def test_a_backfill_does_not_give_corrected_events_to_others(bus: Bus) -> None:
    edit(letters(), patched_by(RIGHT))
    bus.drain()
    with transaction() as session, pytest.raises(NothingToReplay):
        replays.start_backfill(session, "others.mark", who="ada", why="test")


def test_the_link_goes_with_its_event_when_that_is_removed(bus: Bus) -> None:
    edit(letters(), patched_by(RIGHT))
    bus.drain()
    with transaction() as session:
        ids = session.scalars(select(EditedEvent.event_id)).all()
        assert len(ids) == 2
        session.execute(delete(Delivery).where(Delivery.event_id.in_(ids)))
        session.execute(delete(LogEntry).where(LogEntry.id.in_(ids)))
        assert session.scalars(select(EditedEvent)).all() == []


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        (replaced_by({"text": 5}), "data.text", "valid string"),
        (replaced_by({"text": "a", "colour": "red"}), "data.colour", "not permitted"),
        (replaced_by({"text": "wrong 1"}), "data", "replay it instead"),
        (replaced_by([]), "data", "valid dictionary"),  # type: ignore[arg-type]
        (patched_by([{"op": "replace", "path": "/nothing", "value": 1}]), "patch", "nothing"),
        (patched_by([{"op": "jump", "path": "/text"}]), "patch", "jump"),
        (patched_by([{"op": "replace", "path": "text", "value": 1}]), "patch", "start with /"),
        (patched_by([{"path": "/text"}]), "patch", "op"),
        (patched_by([{"op": "test", "path": "/text", "value": "other"}]), "patch", "other"),
        (patched_by([{"op": "replace", "path": "", "value": 5}]), "data", ""),
        (patched_by([*RIGHT, {"op": "remove", "path": "/no/0"}]), "patch", "operation 2 at /no/0:"),
        (patched_by([LISTED, *DOUBLED]), "patch", "copies more than"),
        (patched_by([LISTED, *DEEPER]), "patch", "deep"),
        (patched_by([{"op": "add", "path": "/~2", "value": 1}]), "patch", "invalid escape"),
        (patched_by([{"op": "add", "path": 5, "value": 1}]), "patch", "Invalid 'path'"),
    ],
)
def test_a_correction_that_breaks_the_schema_changes_nothing_and_names_the_field(
    change: edits.Change, field: str, words: str, bus: Bus
) -> None:
    before = letters()
    with pytest.raises(InvalidPayload) as refused:
        edit(before[:1], change)

    assert refused.value.errors[0][0] == field
    assert words in refused.value.errors[0][1]
    assert letters() == before
    with reading() as session:
        assert audit.listed(session) == []


def test_an_error_about_a_patch_does_not_show_the_payload(bus: Bus) -> None:
    places = [(op, path) for op in ("test", "copy", "move", "remove") for path in PLACES]
    for operation, path in places:
        patch = [{"op": operation, "path": path, "from": "/missing", "value": 7}]
        with pytest.raises(InvalidPayload) as refused, reading() as session:
            edits.preview(session, letters()[:1], patched_by(patch))
        assert "wrong" not in str(refused.value), operation


def test_of_a_group_either_all_are_corrected_or_none(bus: Bus) -> None:
    only_first: list[Any] = [{"op": "test", "path": "/text", "value": "wrong 1"}, *RIGHT]
    before = letters()
    with pytest.raises(InvalidPayload) as refused:
        edit(before, patched_by(only_first))
    [(field, _)] = refused.value.errors
    assert field == f"{before[1]} patch"
    assert letters() == before
    with reading() as session:
        assert len(edits.preview(session, before, patched_by(RIGHT))) == 2
    assert letters() == before

    assert len(edit(before, patched_by(RIGHT))) == 2
    bus.drain()
    assert letters() == []
    with pytest.raises(UnknownDelivery):
        edit(before[:1], patched_by(RIGHT))  # settled meanwhile
