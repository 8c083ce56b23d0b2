"""Celery's own commands that throw messages away: the ledger sends them again."""

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import select

from events import Database, reading
from events.tables import LogEntry
from tests import forked
from tests.events.stack import Stack
from tests.servers import wait_until

pytestmark = pytest.mark.system

MakeStack = Callable[[Database, str], Stack]


def celery(stack: Stack, *words: str) -> str:
    """Run a command of Celery and return what it prints."""
    words = ("celery", "-A", "tests.events.live_app", *words)
    done = forked.run(*words, env=stack.env, modules=forked.BUS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sent(stack: Stack, count: int) -> bool:
    """Tell whether so many pings are in messages."""
    return sum(row.sent_at is not None for row in stack.deliveries("pings.answer_ping")) == count


@pytest.mark.parametrize(
    "any_broker",
    ["valkey", pytest.param("rabbitmq", marks=pytest.mark.slow)],
    indirect=True,
)
def test_the_deliveries_of_purged_messages_are_sent_again(
    database: Database, any_broker: str, make_stack: MakeStack
) -> None:
    stack = make_stack(database, any_broker)
    stack.relay(LEASE="2")
    stack.ping(1, 2, 3)
    wait_until(lambda: sent(stack, 3), what="three deliveries sent")

    assert "Purged" in celery(stack, "purge", "--force", "--queues", "pings")
    stack.work("pings")

    wait_until(
        lambda: stack.effects("answered") == Counter([1, 2, 3]), what="the effect of each ping"
    )


@pytest.mark.slow
def test_the_delivery_of_a_revoked_message_is_sent_again_in_another(stack: Stack) -> None:
    stack.work("pings")
    stack.ping(1)
    with reading() as session:
        event_id = session.scalar(select(LogEntry.id))
    first = f"{event_id}:pings.answer_ping:1"

    assert "OK" in celery(stack, "control", "revoke", first)
    stack.relay(LEASE="2")

    wait_until(lambda: stack.effects("answered") == Counter([1]), what="the effect of the ping")
    assert [row.sends for row in stack.deliveries("pings.answer_ping")] == [2]
