"""The inbox: a message is handled only as far as its deliveries are in flight."""

from uuid import uuid4

from sqlalchemy import delete, update

from events import Database, transaction
from events.dispatch import dispatch
from events.tables import Delivery, LogEntry
from tests.events.sample import delivery, failed_attempts, marks, new_subscription, note, send


def test_a_message_for_a_delivery_that_is_not_in_flight_changes_nothing(
    any_database: Database,
) -> None:
    subscription = new_subscription()
    for change in (
        update(Delivery).values(state="dead"),
        update(Delivery).values(state="discarded"),
        update(Delivery).values(state="done"),
        update(Delivery).values(sent_at=None),  # unmarked, or to be retried later
    ):
        [event_id] = note("a")
        send(subscription)
        with transaction() as session:
            session.execute(change.where(Delivery.event_id == event_id))

        assert str(dispatch(subscription, [event_id], worker="w")) == "duplicate"
    assert (marks(), failed_attempts()) == ({}, [])


def test_a_message_for_a_pruned_delivery_or_an_unknown_event_changes_nothing(
    any_database: Database,
) -> None:
    subscription = new_subscription()
    [event_id] = note("a")
    send(subscription)
    with transaction() as session:
        session.execute(delete(Delivery))
        session.execute(delete(LogEntry))

    assert str(dispatch(subscription, [event_id, uuid4()], worker="w")) == "duplicate 2"
    assert marks() == {}


def test_a_forged_message_for_a_subscription_without_that_delivery_changes_nothing(
    any_database: Database,
) -> None:
    mine, others = new_subscription(), new_subscription(name="others.mark")
    note("a")
    send(mine)

    assert str(dispatch(others, [delivery().event_id], worker="w")) == "duplicate"
    assert (marks(), delivery().state) == ({}, "pending")
