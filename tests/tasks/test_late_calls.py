"""A call in progress while a copy of its delivery handles a cancelled order: no charge is lost."""

import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select

from events import reading, transaction
from events.dispatch import dispatch
from events.relay.round import do_round
from events.subscriptions import registered
from events.testing import Bus
from tasks import gateways
from tasks.gateways.payment import SandboxCharge, SandboxPayments
from tests.servers import HANG
from tests.tasks.builders import cancelled, found, placed


class Slow(SandboxPayments):
    """The sandbox over a slow line: the first request waits until the test lets it arrive."""

    def __init__(self) -> None:
        self.under_way, self.arrives = threading.Event(), threading.Event()

    def charge(self, key: str, **request: Any) -> Any:
        """Charge, when the request has arrived."""
        self.under_way.set()
        assert self.arrives.wait(HANG)
        return super().charge(key, **request)


def test_a_charge_that_arrives_after_its_key_was_closed_takes_nothing(
    any_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, reports = Slow(), {}
    monkeypatch.setattr(gateways, "payments", lambda: slow)
    order = placed(MUG=1)
    with transaction() as session:
        sent = do_round(session, Counter()).messages
    [message] = [each for each in sent if each.subscription == "payment.charge_order"]

    def handle(worker: str) -> None:
        reports[worker] = str(
            dispatch(registered()["payment.charge_order"], message.event_ids, worker=worker)
        )

    first = threading.Thread(target=handle, args=("first",))
    first.start()
    assert slow.under_way.wait(HANG)
    cancelled(order)
    any_bus.drain()
    handle("second")  # a copy of the message, after a lost connection, say
    slow.arrives.set()
    first.join(HANG)
    any_bus.drain()

    assert reports == {"second": "handled", "first": "duplicate"}
    assert found(order).status == "cancelled"
    with reading() as session:
        assert [row.charge_id for row in session.scalars(select(SandboxCharge))] == [None]
