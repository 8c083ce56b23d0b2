"""The doctor's checks of subscriptions."""

from collections import Counter
from datetime import timedelta

from sqlalchemy import update

from events import clock, transaction
from events.admin import subscriptions
from events.relay.round import do_round
from events.tables import Delivery, SubscriptionRow
from tests.tasks.builders import placed
from tests.tasks.conftest import services
from tests.tidings.doctor.examined import examined, problems


def test_a_subscription_that_no_worker_knows_any_more_is_found(well: None) -> None:
    with transaction() as session:
        long_ago = clock.now() - timedelta(hours=1)
        session.execute(
            update(SubscriptionRow)
            .where(SubscriptionRow.name == "payment.refund")
            .values(last_seen=long_ago)
        )

    [found] = [each for each in examined() if each.level == "problem"]

    assert (
        found.message == "the workers of payment do not know payment.refund, so its deliveries wait"
    )
    assert "tidings subscriptions remove payment.refund --why REASON" in found.fix


def test_a_subscription_of_the_code_that_is_not_registered_is_found(well: None) -> None:
    subscriptions.unregister("payment.refund", who="test", why="test")

    assert problems(examined()) == [
        "subscriptions: not registered, so they receive no events: payment.refund"
    ]


def test_a_paused_subscription_is_a_notice_and_its_backlog_no_problem(well: None) -> None:
    placed()
    with transaction() as session:
        do_round(session, Counter(), can_send=False)
        for each in services():
            subscriptions.pause(session, each.name, who="ada", why="the bank moves")
        session.execute(update(Delivery).values(due_at=clock.now() - timedelta(hours=1)))

    found = examined()

    assert problems(found) == []
    assert len([each for each in found if each.level == "notice"]) == len(services())
