"""The relay's marks may be lost in a power cut: messages go out twice then, effects do not.

Its commits do not wait for the disk. A worker's commit does, and with it all that came before, so
only marks that no worker has acted upon can be lost.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from events import Database, reading, relaxed, transaction
from events.admin import subscriptions as admin
from events.dispatch import dispatch
from events.messages import Message
from events.relay.loop import Relay
from events.relay.round import do_round
from events.tables import Delivery, LogEntry
from events.testing import InMemoryTransport, ManualClock
from tests.events.sample import Noted, deliveries, mark, marks, new_subscription, note

FAILING: set[str] = set()


def fail_for_some(event: Noted, session: Session) -> None:
    """Fail for the notes that the test says."""
    mark(event, session)
    if event.text in FAILING:
        raise ValueError("at the first attempt")


ONE = new_subscription(fail_for_some, batch=10)
TEXTS = ("a", "b", "c")


def work(relay: Relay, broker: InMemoryTransport) -> list[Message]:
    """Let the relay do all that it can do now; return the messages."""
    while relay.work() == 0.0:
        pass
    return broker.receive()


def fresh(relay: Relay, broker: InMemoryTransport, clock: ManualClock) -> None:
    """Publish notes, which no relay has seen."""
    note(*TEXTS)


def waiting(relay: Relay, broker: InMemoryTransport, clock: ManualClock) -> None:
    """Publish notes whose deliveries wait in the ledger."""
    note(*TEXTS)
    with transaction() as session:
        do_round(session, Counter(), can_send=False)


def retrying(relay: Relay, broker: InMemoryTransport, clock: ManualClock) -> None:
    """Publish notes whose deliveries failed once and are due again."""
    FAILING.update(TEXTS)
    note(*TEXTS)
    for message in work(relay, broker):
        dispatch(ONE, message.event_ids, worker="w")
    FAILING.clear()
    clock.advance(3600)


def rows() -> tuple[Sequence[Any], Sequence[Any]]:
    """Return every delivery, and the mark of every event."""
    with reading() as session:
        marked = select(LogEntry.position, LogEntry.relayed_at).order_by(LogEntry.position)
        table = Delivery.metadata.tables["deliveries"]
        ledger = select(table).order_by(table.c.event_id)
        return session.execute(ledger).all(), session.execute(marked).all()


def restore(before: tuple[Sequence[Any], Sequence[Any]]) -> None:
    """Undo all that happened to deliveries and to the marks of events since then."""
    ledger, events = before
    with transaction() as session:
        known = [row.event_id for row in ledger]
        session.execute(delete(Delivery).where(Delivery.event_id.not_in(known)))
        for row in ledger:
            this = update(Delivery).where(Delivery.event_id == row.event_id)
            session.execute(this.values(dict(row._mapping)))
        for position, relayed_at in events:
            entry = update(LogEntry).where(LogEntry.position == position)
            session.execute(entry.values(relayed_at=relayed_at))


@pytest.mark.parametrize("prepare", [fresh, waiting, retrying])
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0, 1)], ids=str)
def test_after_a_loss_of_the_relays_marks_each_effect_happens_once(
    prepare: Callable[..., None],
    order: tuple[int, ...],
    any_database: Database,
    time: ManualClock,
) -> None:
    broker = InMemoryTransport()
    relay = Relay(broker)
    with transaction() as session:
        admin.register(session, [ONE])
    prepare(relay, broker, time)
    before = rows()
    sent = work(relay, broker)
    restore(before)
    assert rows() == before
    sent += work(Relay(broker), broker)

    assert [len(message.event_ids) for message in sent] == [3, 3]
    for number in order:
        dispatch(ONE, sent[number].event_ids, worker="w")
    assert marks() == dict.fromkeys(TEXTS, 1)
    assert {row.state for row in deliveries()} == {"done"}


def test_a_message_that_arrives_before_its_marks_are_made_again_changes_nothing(
    any_database: Database, time: ManualClock
) -> None:
    broker = InMemoryTransport()
    with transaction() as session:
        admin.register(session, [ONE])
    note(*TEXTS)
    before = rows()
    [lost] = work(Relay(broker), broker)
    restore(before)
    report = dispatch(ONE, lost.event_ids, worker="w")

    assert (str(report), marks(), deliveries()) == ("duplicate 3", {}, [])


def test_a_relaxed_commit_does_not_wait_for_the_disk_and_any_other_does(
    any_database: Database,
) -> None:
    sqlite = any_database.sqlite
    setting = text("PRAGMA synchronous" if sqlite else "SHOW synchronous_commit")
    found = []
    for open_transaction in (transaction, relaxed):
        with open_transaction() as session:
            found.append(session.scalar(setting))

    assert found == ([2, 1] if sqlite else ["on", "off"])  # 2 is FULL, 1 is NORMAL
