"""The doctor's checks of overdue events and deliveries."""

from collections import Counter
from datetime import timedelta

from sqlalchemy import text, update

from events import clock, transaction
from events.relay.round import do_round
from events.tables import Delivery
from tests.tasks.builders import placed
from tests.tidings.doctor.examined import examined, problems


def late(**changes: object) -> None:
    with transaction() as session:
        session.execute(update(Delivery).values(**changes))


def test_events_that_no_relay_takes_are_found(well: None) -> None:
    placed()
    with transaction() as session:
        session.execute(
            text("UPDATE events SET publish_at = :then").bindparams(
                then=clock.now() - timedelta(minutes=5)
            )
        )

    [found] = problems(examined())

    assert found.startswith("deliveries: 1 events wait for a relay, the oldest for 5 min")


def test_deliveries_that_are_due_and_not_sent_are_found_with_the_oldest_age(well: None) -> None:
    placed()
    with transaction() as session:
        do_round(session, Counter(), can_send=False)
    late(due_at=clock.now() - timedelta(hours=2, minutes=3))

    [found] = problems(examined())

    assert found.startswith("deliveries: 6 deliveries are due but not sent, the oldest for 2 hr")


def test_deliveries_that_wait_for_their_next_attempt_are_no_problem(well: None) -> None:
    placed()
    with transaction() as session:
        do_round(session, Counter(), can_send=False)
    late(due_at=clock.now() + timedelta(hours=2))

    assert problems(examined()) == []


def test_deliveries_that_were_sent_and_never_handled_are_found(well: None) -> None:
    placed()
    with transaction() as session:
        do_round(session, Counter())
    late(sent_at=clock.now() - timedelta(minutes=20))

    [found] = problems(examined())

    assert found.startswith(
        "deliveries: 6 deliveries are sent but not handled, the oldest for 20 min"
    )


def test_a_gateway_that_has_said_not_now_for_long_is_noticed_by_queue(well: None) -> None:
    placed()
    with transaction() as session:
        do_round(session, Counter(), can_send=False)
        session.execute(
            update(Delivery)
            .where(Delivery.queue == "email")
            .values(
                state="retrying",
                not_now=4,
                failing_since=clock.now() - timedelta(hours=3),
                due_at=clock.now() + timedelta(hours=1),
                error="GatewayDown: the mail server is unreachable",
            )
        )

    findings = examined()

    assert problems(findings) == []
    [notice] = [each for each in findings if each.level == "notice"]
    assert notice.message == (
        '1 deliveries of queue email are told "not now", the oldest for 3 hr: '
        "GatewayDown: the mail server is unreachable"
    )
