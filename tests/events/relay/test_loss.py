"""Lost messages: which deliveries are sent again, and which are not, however long they wait."""

from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import func, insert, literal, select, text, update

from events import Database, reading, transaction
from events.dispatch import dispatch
from events.errors import BrokerDown
from events.relay.loop import Relay
from events.relay.loss import LostMessageDetector
from events.relay.window import MESSAGE_SIZE
from events.settings import settings
from events.slots import MESSAGES
from events.tables import Delivery, LogEntry
from events.testing import InMemoryTransport, ManualClock
from tests.events.sample import deliveries, delivery, marks, new_subscription, note, send

ONE = new_subscription(batch=MESSAGE_SIZE)
LEASE = settings().lease


# Inserted one by one, so many events take half a minute.
_MANY_EVENTS = """
INSERT INTO events (id, type, version, source, time, correlation_id, actor, data, publish_at,
                    relayed_at)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
SELECT printf('%032x', n), 'sample.noted', 1, 's', '2026-01-01', printf('%032x', n), '{}', '{}',
       '2026-01-01', '2026-01-01'
FROM numbers
"""


@pytest.fixture
def broker() -> InMemoryTransport:
    """A broker in memory."""
    return InMemoryTransport()


def sent(broker: InMemoryTransport, *texts: str) -> list[UUID]:
    """Publish and send a note of each text."""
    event_ids = note(*texts)
    broker.send(send(ONE, slots=len(event_ids)))
    return event_ids


def insert_due(count: int, now: datetime) -> None:
    """Insert so many events, each with a delivery that is due now."""
    values = {
        "subscription": "notes.mark",
        "queue": "notes",
        "state": "pending",
        "due_at": now,
    } | dict.fromkeys(("attempts", "sends", "lost_count", "unfinished_starts"), 0)
    columns = [literal(value, getattr(Delivery, name).type) for name, value in values.items()]
    rows = select(LogEntry.id, *columns)
    with transaction() as session:
        session.execute(text(_MANY_EVENTS), {"count": count})
        session.execute(insert(Delivery).from_select(["event_id", *values], rows))


def pass_time(
    detector: LostMessageDetector, time: ManualClock, seconds: float, *, step: float = 5.0
) -> int:
    """Check every few seconds, as the relay does; return the number of deliveries found lost."""
    lost = 0
    for _ in range(int(seconds / step)):
        time.advance(step)
        lost += detector.check()
    return lost


def test_a_hundred_thousand_deliveries_wait_in_the_ledger_and_are_sent_once_however_long(
    database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    send(ONE)
    insert_due(100_000, time())
    detector = LostMessageDetector(broker)
    broker.send(send(ONE))

    assert pass_time(detector, time, 3600, step=100) == 0  # no worker at all
    assert len(broker.ready) == MESSAGES
    for _ in range(10):  # one slow worker
        dispatch(ONE, broker.ready.pop(0).event_ids, worker="w")
        broker.send(send(ONE))
        assert len(broker.ready) == MESSAGES
        assert pass_time(detector, time, LEASE, step=LEASE / 2) == 0

    with reading() as session:
        counted = session.execute(select(Delivery.sends, func.count()).group_by(Delivery.sends))
        sends = {number: count for number, count in counted}  # noqa: C416 - dict() would not pass mypy
    assert sends == {0: 100_000 - 12 * MESSAGE_SIZE, 1: 12 * MESSAGE_SIZE}
    assert marks().total() == 10 * MESSAGE_SIZE


def test_a_delivery_open_a_lease_after_its_queue_was_empty_is_sent_again(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, "a")
    broker.ready.clear()  # as a flush would
    detector = LostMessageDetector(broker)

    assert pass_time(detector, time, LEASE) == 0
    assert pass_time(detector, time, 15) == 1
    assert (delivery().sent_at, delivery().lost_count) == (None, 1)
    assert len(send(ONE)) == 1


def test_a_delivery_that_a_worker_holds_for_less_than_a_lease_is_not_lost(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    [event_id] = sent(broker, "a")
    broker.ready.clear()  # a worker holds it
    detector = LostMessageDetector(broker)
    pass_time(detector, time, LEASE - 5)
    dispatch(ONE, [event_id], worker="w")

    assert pass_time(detector, time, 4 * LEASE) == 0
    assert (delivery().state, delivery().sends) == ("done", 1)


def test_on_a_busy_queue_an_open_delivery_sent_before_the_latest_done_one_is_lost(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    [lost] = sent(broker, "lost with its worker")
    detector = LostMessageDetector(broker)

    assert work_without_a_break(detector, time, broker, seconds=LEASE + 20) == 1
    assert {row.event_id for row in deliveries() if row.lost_count} == {lost}


def test_a_lost_delivery_that_was_the_latest_sent_at_a_check_hides_no_other_loss(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    lost = sent(broker, "lost with its worker", "lost too")
    detector = LostMessageDetector(broker)
    detector.check()

    assert work_without_a_break(detector, time, broker, seconds=2 * LEASE + 30) == 2
    assert {row.event_id for row in deliveries() if row.lost_count} == set(lost)


def work_without_a_break(
    detector: LostMessageDetector, time: ManualClock, broker: InMemoryTransport, *, seconds: float
) -> int:
    """Handle one note every five seconds, each after the next is sent: the queue is never empty.

    Returns the number of deliveries that the detector found lost.
    """
    found = 0
    for number in range(int(seconds / 5)):
        time.advance(5)
        event_ids = note(f"b{number}")
        broker.send(send(ONE, slots=10))
        found += detector.check()
        dispatch(ONE, event_ids, worker="w")
    return found


def test_a_done_delivery_that_was_sent_twice_makes_no_other_one_lost(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    # A frozen worker held the first; it was sent again, to the end of the queue; then the worker
    # continued and finished it.
    [frozen] = sent(broker, "frozen")
    waiting = sent(broker, *map(str, range(20)))
    with transaction() as session:
        session.execute(
            update(Delivery).where(Delivery.event_id == frozen).values(sent_at=None, lost_count=1)
        )
    time.advance(100)
    broker.send(send(ONE))
    dispatch(ONE, [frozen], worker="frozen")
    detector = LostMessageDetector(broker)

    assert pass_time(detector, time, 10 * LEASE) == 0
    assert {row.sends for row in deliveries() if row.event_id in waiting} == {1}


def test_a_message_between_its_mark_and_the_broker_is_not_lost(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, "a")
    unsent = broker.receive()
    detector = LostMessageDetector(broker)
    time.advance(1.0)
    detector.check()  # after the mark, before the message arrives: the queue is empty
    broker.send(unsent)

    assert pass_time(detector, time, 10 * LEASE) == 0


def test_with_the_broker_down_the_check_raises_and_counts_no_loss(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, "a")
    broker.down = True
    detector = LostMessageDetector(broker)
    time.advance(10 * LEASE)

    with pytest.raises(BrokerDown):
        detector.check()
    assert (delivery().lost_count, delivery().sends) == (0, 1)


def test_a_relay_that_has_just_started_finds_old_losses_a_lease_later(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, "a")
    broker.ready.clear()
    time.advance(100 * LEASE)  # without any check

    assert pass_time(LostMessageDetector(broker), time, LEASE + 15) == 1


def test_each_queue_is_checked_separately(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    other = new_subscription(name="others.mark")
    note("a")
    broker.send(send(ONE, other))
    broker.ready = [each for each in broker.ready if each.queue == "notes"]

    assert pass_time(LostMessageDetector(broker), time, LEASE + 15) == 1
    assert (delivery().lost_count, delivery("others.mark").lost_count) == (0, 1)


def test_a_loss_larger_than_one_batch_is_rescheduled_completely(
    database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, *map(str, range(2500)))
    broker.ready.clear()

    assert pass_time(LostMessageDetector(broker), time, LEASE + 15) == 2500
    assert {(row.lost_count, row.sent_at) for row in deliveries()} == {(1, None)}


def test_the_relay_finds_losses_and_every_effect_happens_once(
    database: Database, time: ManualClock
) -> None:
    broker = InMemoryTransport()
    relay = Relay(broker, name="relay@test")
    send(ONE)
    note("a", "b")
    relay.work()
    broker.sent.clear()
    broker.ready.clear()
    for _ in range(12):
        time.advance(5)
        relay._upkeep_at = 0.0  # its own interval follows the clock of the machine
        relay.work()
    for message in broker.sent:
        dispatch(ONE, message.event_ids, worker="w")

    assert (len(broker.sent), marks()) == (1, {"a": 1, "b": 1})
