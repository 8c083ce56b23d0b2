"""The doctor's checks of relays, workers and their clocks."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from events import clock, heartbeat, transaction
from events.tables import Heartbeat, QueueTrouble
from tests.tidings.doctor.examined import examined, problems


def test_a_missing_relay_is_found(well: None) -> None:
    heartbeat.leave("relay@here")

    [found] = [each for each in examined() if each.level == "problem"]

    assert (found.part, found.fix) == ("relay", "start one: tidings relay")


def test_a_relay_without_a_broker_is_found(well: None) -> None:
    heartbeat.beat("relay@here", "relay", trouble="ConnectionError: refused")

    assert problems(examined()) == ["relay: relay@here reports: ConnectionError: refused"]


def test_a_queue_that_the_broker_refuses_is_found_and_the_relay_not_blamed(well: None) -> None:
    full: QueueTrouble = {"reason": "is full", "fix": "start workers for it"}
    heartbeat.beat("relay@here", "relay", queue_troubles={"payment": full})

    found = [each for each in examined() if each.part == "relay"]

    assert [(each.level, each.message, each.fix) for each in found] == [
        ("ok", "relay@here is running", ""),
        ("problem", "queue payment is full", "start workers for it"),
    ]


def test_a_relay_that_hears_no_notifications_is_noticed_with_its_reason(well: None) -> None:
    heartbeat.beat("relay@here", "relay", deaf="a notification was not heard; set the address")

    [found] = [each for each in examined() if each.level == "notice"]

    assert found.part == "relay"
    assert found.message == (
        "relay@here hears no notifications of PostgreSQL and looks for events every 0.1 s: "
        "a notification was not heard; set the address"
    )


def test_a_queue_without_a_worker_is_found_and_the_worker_named(well: None) -> None:
    heartbeat.leave("payment@here")

    [found] = [each for each in examined() if each.level == "problem"]

    assert (found.part, found.message) == ("workers", "queue payment has no worker")
    assert found.fix == "start one: celery -A tasks worker -Q payment -n payment@%h"


def test_a_queue_whose_consumer_was_cancelled_is_found_with_the_command_that_adds_it(
    well: None,
) -> None:
    heartbeat.beat("payment@here", "worker", [])

    [found] = [each for each in examined() if each.level == "problem"]

    assert (found.part, found.message) == ("workers", "queue payment has no worker")
    assert found.fix.endswith("celery -A tasks control add_consumer payment")


@pytest.mark.parametrize(("skew", "told"), [(90.0, "90 s ahead of"), (-90.0, "90 s behind")])
def test_a_process_whose_machine_has_another_time_is_named(
    skew: float, told: str, well: None
) -> None:
    with transaction() as session:
        session.execute(update(Heartbeat).where(Heartbeat.name == "email@here").values(skew=skew))

    [found] = problems(examined())

    assert found.startswith(f"clock: the clock of email@here is {told} the database's")


def test_a_process_whose_clock_is_ahead_is_found(well: None) -> None:
    with transaction() as session:
        ahead = clock.now() + timedelta(seconds=90)
        session.execute(
            update(Heartbeat).where(Heartbeat.name == "email@here").values(last_seen=ahead)
        )

    [found] = problems(examined())

    assert found.startswith("clock: the clock of email@here is ")
