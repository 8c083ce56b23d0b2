from concurrent.futures import ThreadPoolExecutor

import pytest

from events import Database, reading, transaction
from events.catalog import Money
from events.retry import decide
from tasks.gateways import NAMES, is_down, sandbox_switch
from tasks.gateways.payment import SandboxPayments
from tasks.gateways.ports import PATIENCE, Charged, GatewayDown, GatewayError
from tests.tasks.builders import switched


@pytest.mark.parametrize("name", NAMES)
def test_a_gateway_is_broken_and_mended_for_every_process(
    any_database: Database, name: str
) -> None:
    other = Database(any_database.url.render_as_string(hide_password=False))
    for down in (True, True, False):
        switched(name, down=down)
        with other.reading() as session:
            assert is_down(session, name) is down
    other.close()


def test_a_gateway_that_was_never_switched_is_up(database: Database) -> None:
    with reading() as session:
        assert not is_down(session, "payment")


def test_a_switch_that_does_not_exist_is_refused_with_those_that_do(database: Database) -> None:
    with (
        pytest.raises(ValueError, match="no gateway 'paypal'; there are: payment, shipping, email"),
        transaction() as session,
    ):
        sandbox_switch(session, "paypal", down=True)


def test_calls_at_once_with_one_key_take_the_money_once(any_database: Database) -> None:
    def charge(_: int) -> object:
        return SandboxPayments().charge(
            "k-1", total=Money(amount=100, currency="EUR"), token="tok_ok"
        )

    with ThreadPoolExecutor(6) as pool:
        [only] = set(pool.map(charge, range(12)))
    assert isinstance(only, Charged)


def test_a_wish_that_always_fails_is_given_up_within_half_a_minute_or_so() -> None:
    waits = [
        decide(PATIENCE, attempt, GatewayError("no")).wait
        for attempt in range(1, PATIENCE.attempts + 1)
    ]
    assert waits[-1] is None
    longest = [
        PATIENCE.wait(attempt, draw=lambda low, high: high)
        for attempt in range(1, PATIENCE.attempts)
    ]
    assert sum(longest) <= 40
    assert 15 <= sum(longest) / 2 <= 25  # with full jitter, on average


def test_a_gateway_that_is_down_is_asked_again_after_more_than_the_usual_wait() -> None:
    for attempt in range(1, PATIENCE.attempts):
        wait = decide(PATIENCE, attempt, GatewayDown("payment sandbox is down")).wait
        assert wait is not None
        assert 5 <= wait <= 15
