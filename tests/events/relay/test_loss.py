from uuid import UUID

import pytest
from sqlalchemy import func, insert, literal, select, text, update

from events import Database, reading, transaction
from events.dispatch import dispatch
from events.errors import BrokerDown
from events.ledger import last_settled
from events.messages import Message
from events.relay.loop import Relay
from events.relay.loss import LostMessageDetector
from events.settings import settings
from events.tables import Delivery, LogEntry
from events.testing import InMemoryTransport, ManualClock
from tests.events.sample import deliveries, delivery, hearing, marks, note, send

ONE = hearing()
LEASE = settings().lease


# One by one, so many take half a minute.
_MANY_EVENTS = """
INSERT INTO events (id, type, version, source, time, correlation_id, actor, data, publish_at, relayed_at)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
SELECT printf('%032x', n), 'sample.noted', 1, 's', '2026-01-01', printf('%032x', n), '{}', '{}', '2026-01-01', '2026-01-01' FROM numbers
"""


@pytest.fixture
def broker() -> InMemoryTransport:
    """A broker in memory."""
    return InMemoryTransport()


def sent(broker: InMemoryTransport, *texts: str) -> list[UUID]:
    """Publish and send a note of each text."""
    ids = note(*texts)
    while messages := send(ONE):
        broker.send(messages)
    return ids


def pass_time(
    watch: LostMessageDetector, time: ManualClock, seconds: float, *, step: float = 5.0
) -> int:
    """Look every few seconds, as the relay does; returns how many were found lost."""
    lost = 0
    for _ in range(int(seconds / step)):
        time.advance(step)
        lost += watch.look()
    return lost


def test_a_hundred_thousand_deliveries_that_wait_are_never_sent_twice_however_long(
    database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    send(ONE)
    ids = [UUID(int=number) for number in range(1, 100_001)]
    with transaction() as session:
        session.execute(text(_MANY_EVENTS), {"count": len(ids)})
        values = {
            "subscription": "notes.mark",
            "queue": "notes",
            "state": "pending",
            "sends": 1,
            "due_at": time(),
            "sent_at": time(),
        }
        zeros = dict.fromkeys(("attempts", "lost_count", "unfinished_starts"), 0)
        rows = select(
            LogEntry.id,
            *[
                literal(value, getattr(Delivery, name).type)
                for name, value in (values | zeros).items()
            ],
        )
        session.execute(insert(Delivery).from_select(["event_id", *values, *zeros], rows))
    broker.send([Message("m", ONE.name, "notes", (id,), 0, "") for id in ids])
    watch = LostMessageDetector(broker)

    assert pass_time(watch, time, 3600, step=100) == 0  # no worker at all
    for id in ids[:10]:  # one worker, which takes the oldest, and slowly
        broker.ready.pop()
        dispatch(ONE, [id], worker="w")
        assert pass_time(watch, time, LEASE, step=LEASE / 2) == 0

    with reading() as session:
        assert session.scalar(select(func.max(Delivery.sends))) == 1


def test_what_is_open_a_lease_after_its_queue_was_empty_is_sent_again(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, "a")
    broker.ready.clear()  # as a flush would
    watch = LostMessageDetector(broker)

    assert pass_time(watch, time, LEASE) == 0
    assert pass_time(watch, time, 15) == 1
    assert (delivery().sent_at, delivery().lost_count) == (None, 1)
    assert len(send(ONE)) == 1


def test_what_a_worker_holds_for_less_than_a_lease_is_not_lost(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    [id] = sent(broker, "a")
    broker.ready.clear()  # it is in a worker's hands
    watch = LostMessageDetector(broker)
    pass_time(watch, time, LEASE - 5)
    dispatch(ONE, [id], worker="w")

    assert pass_time(watch, time, 4 * LEASE) == 0
    assert (delivery().state, delivery().sends) == ("done", 1)


def test_on_a_busy_queue_what_was_sent_before_the_latest_done_is_lost(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    [lost] = sent(broker, "lost with its worker")
    watch = LostMessageDetector(broker)
    found = 0
    for number in range(15):  # the queue never runs empty
        time.advance(5)
        [done] = sent(broker, f"b{number}")
        dispatch(ONE, [done], worker="w")
        found += watch.look()

    assert found == 1
    assert {row.event_id for row in deliveries() if row.lost_count} == {lost}


def test_a_delivery_sent_again_does_not_make_what_waits_behind_it_look_lost(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    # A frozen worker held the first; it was sent again, to the end of the queue; then the worker thawed and finished it.
    [frozen] = sent(broker, "frozen")
    waiting = sent(broker, *map(str, range(20)))
    with transaction() as session:
        session.execute(
            update(Delivery).where(Delivery.event_id == frozen).values(sent_at=None, lost_count=1)
        )
    time.advance(100)
    broker.send(send(ONE))
    dispatch(ONE, [frozen], worker="thawed")
    watch = LostMessageDetector(broker)

    assert pass_time(watch, time, 10 * LEASE) == 0
    assert {row.sends for row in deliveries() if row.event_id in waiting} == {1}


def test_a_message_that_the_relay_has_not_quite_sent_is_not_lost(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, "a")
    on_its_way = broker.receive()
    watch = LostMessageDetector(broker)
    time.advance(1.0)
    watch.look()  # between the mark and the message: the queue is empty, and the message is on its way
    broker.send(on_its_way)

    assert pass_time(watch, time, 10 * LEASE) == 0


def test_with_the_broker_down_nothing_is_lost_and_the_caller_is_told(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, "a")
    broker.down = True
    watch = LostMessageDetector(broker)
    time.advance(10 * LEASE)

    with pytest.raises(BrokerDown):
        watch.look()
    assert (delivery().lost_count, delivery().sends) == (0, 1)


def test_a_relay_that_has_just_begun_finds_old_losses_a_lease_later(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, "a")
    broker.ready.clear()
    time.advance(100 * LEASE)  # nobody looked all this time

    assert pass_time(LostMessageDetector(broker), time, LEASE + 15) == 1


def test_each_queue_is_judged_by_itself(
    any_database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    other = hearing(name="others.mark")
    note("a")
    broker.send(send(ONE, other))
    broker.ready = [each for each in broker.ready if each.queue == "notes"]

    assert pass_time(LostMessageDetector(broker), time, LEASE + 15) == 1
    assert (delivery().lost_count, delivery("others.mark").lost_count) == (0, 1)


def test_a_large_loss_is_sent_again_in_parts_that_let_others_write(
    database: Database, time: ManualClock, broker: InMemoryTransport
) -> None:
    sent(broker, *map(str, range(2500)))
    broker.ready.clear()

    assert pass_time(LostMessageDetector(broker), time, LEASE + 15) == 2500
    assert {(row.lost_count, row.sent_at) for row in deliveries()} == {(1, None)}


def test_losses_are_found_by_the_running_relay_and_every_effect_happens_once(
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
        relay._upkeep_at = 0.0  # its own rhythm follows the machine's clock
        relay.work()
    for message in broker.sent:
        dispatch(ONE, message.event_ids, worker="w")

    assert (len(broker.sent), marks()) == (2, {"a": 1, "b": 1})


def test_nothing_done_tells_nothing(any_database: Database) -> None:
    with reading() as session:
        assert last_settled(session, "notes") is None
