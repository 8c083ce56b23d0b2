"""The payment sandbox."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from events import Database
from events.catalog import Money
from tasks.gateways.payment import SandboxPayments
from tasks.gateways.ports import Charged, Declined, GatewayDown, GatewayError
from tests.tasks.builders import switched


def _charge(key: str, token: str = "tok_ok") -> Charged | Declined:
    return SandboxPayments().charge(key, total=Money(amount=2500, currency="EUR"), token=token)


def test_the_same_key_finds_the_same_charge(any_database: Database) -> None:
    assert _charge("k-1") == _charge("k-1")
    assert _charge("k-1") != _charge("k-2")


def test_a_key_that_is_closed_takes_nothing_any_more(any_database: Database) -> None:
    assert SandboxPayments().close("k-1") is None
    assert _charge("k-1") == Declined("this key was closed: its order was cancelled")
    with pytest.raises(ConnectionError):
        _charge("k-2", "tok_flaky")
    assert SandboxPayments().close("k-2") is None
    assert [isinstance(_charge("k-2", "tok_flaky"), Declined) for _ in range(3)] == [True] * 3


def test_a_key_that_took_money_says_so_when_it_is_closed(database: Database) -> None:
    assert _charge("k-1") == SandboxPayments().close("k-1") == SandboxPayments().close("k-1")


def test_a_charge_is_refunded_once_whatever_the_key(any_database: Database) -> None:
    charge = _charge("k-1")
    assert isinstance(charge, Charged)
    assert SandboxPayments().refund("k-2", charge_id=charge.charge_id) == SandboxPayments().refund(
        "k-3", charge_id=charge.charge_id
    )


def test_an_unknown_charge_is_not_refunded(database: Database) -> None:
    with pytest.raises(GatewayError, match="has no charge ch_9"):
        SandboxPayments().refund("k-1", charge_id="ch_9")


def test_while_it_is_down_every_call_fails_and_nothing_is_taken(any_database: Database) -> None:
    switched("payment", down=True)
    for call in (
        lambda: _charge("k-1"),
        lambda: SandboxPayments().close("k-1"),
        lambda: SandboxPayments().refund("k-1", charge_id="ch_1"),
    ):
        with pytest.raises(GatewayDown, match="payment sandbox is down") as refused:
            call()
        assert isinstance(refused.value, ConnectionError)
    switched("payment", down=False)
    assert SandboxPayments().close("k-1") is None


def test_calls_at_once_with_one_key_take_the_money_once(any_database: Database) -> None:
    def charge(_: int) -> object:
        return SandboxPayments().charge(
            "k-1", total=Money(amount=100, currency="EUR"), token="tok_ok"
        )

    with ThreadPoolExecutor(6) as pool:
        [only] = set(pool.map(charge, range(12)))
    assert isinstance(only, Charged)
