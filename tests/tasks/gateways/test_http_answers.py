"""The classes of HTTP answers, and the Retry-After of those that mean "not now"."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from events import Database, DeadLetter, NotNow, RetryAfter, clock, transaction
from events.catalog import Money
from events.testing import Bus
from tasks.gateways import payments, sandbox_switch
from tasks.gateways.http_answers import error_of, seconds_until
from tasks.gateways.ports import BusyUntil, GatewayBusy, GatewayError, GatewayUnanswered
from tests.tasks.builders import found, placed

EUROS = Money(amount=100, currency="EUR")


@pytest.mark.parametrize(
    ("status", "retry_after", "kind"),
    [
        (429, None, GatewayBusy),
        (503, None, GatewayBusy),
        (503, "120", BusyUntil),
        (429, "0", BusyUntil),
        (502, "30", BusyUntil),
        (500, None, GatewayError),
        (500, "30", RetryAfter),
        (502, None, GatewayUnanswered),
        (504, "soon", GatewayUnanswered),
        *((status, None, GatewayUnanswered) for status in (520, 522, 524, 527, 598, 599)),
        *((status, None, GatewayBusy) for status in (521, 523, 525, 526, 529, 530)),
        (522, "30", BusyUntil),
        (529, "30", BusyUntil),
        (528, None, GatewayError),
        (408, None, GatewayError),
        (409, None, GatewayError),
        (400, None, DeadLetter),
        (401, None, DeadLetter),
        (403, "120", DeadLetter),
        (422, None, DeadLetter),
        (301, None, DeadLetter),
    ],
)
def test_each_answer_belongs_to_a_class(
    status: int, retry_after: str | None, kind: type[Exception]
) -> None:
    error = error_of("the gateway", status, retry_after)

    assert type(error) is kind
    assert isinstance(error, NotNow) is (kind in (GatewayBusy, BusyUntil, RetryAfter))
    assert f"the gateway answers {status}" in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("9" * 400, float("inf")),
        ("-5", None),
        ("1.5", None),
        ("\uff11\uff12", None),
        ("1_0", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Fri, 31 Feb 2034 10:00:00 GMT", None),
    ],
)
def test_seconds_are_digits_and_nothing_else(header: str | None, seconds: float | None) -> None:
    assert seconds_until(header) == seconds


@pytest.mark.parametrize(
    "date",
    [
        "Wed, 01 Mar 2034 10:02:00 GMT",
        "Wednesday, 01-Mar-34 10:02:00 GMT",
        "Wed Mar  1 10:02:00 2034",
    ],
)
def test_each_form_of_a_date_is_read(date: str) -> None:
    now = datetime(2034, 3, 1, 10, 0, 0, tzinfo=UTC)
    clock.follow(lambda: now)
    try:
        assert seconds_until(date) == 120.0
    finally:
        clock.follow(None)


def test_a_date_in_the_past_is_now() -> None:
    assert seconds_until(format_datetime(clock.now() - timedelta(days=1), usegmt=False)) == 0.0


@pytest.mark.parametrize("status", [429, 503])
def test_a_charge_waits_as_long_as_the_gateway_asks_and_spends_no_attempt(
    bus: Bus, status: int
) -> None:
    bus.fail_fast = False
    with transaction() as session:
        sandbox_switch(session, "payment", down=False, status=status, retry_after="600")
    order = placed()
    for _ in range(20):  # more often than the policy has attempts
        bus.drain()
        bus.advance(599)
        waiting = [row for row in bus.deliveries() if row.subscription == "payment.charge_order"]
        assert [row.state for row in waiting] == ["retrying"]
        bus.advance(2)
    assert [row.attempts for row in waiting] == [20]

    with transaction() as session:
        sandbox_switch(session, "payment", down=False)
    bus.advance(601)
    assert found(order).status == "shipped"


def test_a_request_that_the_gateway_refuses_for_good_is_a_dead_letter_at_once(bus: Bus) -> None:
    bus.fail_fast = False
    with transaction() as session:
        sandbox_switch(session, "payment", down=False, status=400)
    placed()
    bus.drain()

    [charge] = [row for row in bus.deliveries() if row.subscription == "payment.charge_order"]
    assert (charge.state, charge.attempts) == ("dead", 1)


def test_a_switch_that_is_restored_answers_as_before(any_database: Database) -> None:
    with transaction() as session:
        sandbox_switch(session, "payment", down=False, status=503, retry_after="5")
    with pytest.raises(RetryAfter, match="answers 503: retry after 5 s"):
        payments().charge("k", total=EUROS, token="tok_ok")
    with transaction() as session:
        sandbox_switch(session, "payment", down=False)

    assert payments().charge("k", total=EUROS, token="tok_ok")
