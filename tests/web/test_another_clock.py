"""A web whose machine is ahead of the others: nothing waits for it, and the doctor names it."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from events import Database, reading, transaction
from events.admin import subscriptions as admin
from events.relay.round import do_round, survey
from events.subscriptions import registered
from events.tables import Delivery, LogEntry
from tests.servers import HANG
from tests.web.payloads import order_payload
from tests.web.process import WebProcess
from tidings.doctor import clocks
from tidings.http_client import open_client

pytestmark = pytest.mark.system


def test_an_order_of_a_web_that_is_90_s_ahead_is_fanned_out_at_once(
    stocked_any: None, any_database: Database, run_web: Callable[..., WebProcess]
):
    with transaction() as session:
        admin.register(session, registered().values())
    web = run_web(ahead=90)

    with open_client(web.address, timeout=HANG) as client:
        assert client.post("/api/v1/orders", json=order_payload()).status_code == 202
        assert client.get("/readyz").status_code == 200

    with reading() as session:
        assert survey(session.connection(), Counter()).has_work
    with transaction() as session:
        do_round(session, Counter())
    soon = datetime.now(UTC) + timedelta(seconds=5)
    with reading() as session:
        due = session.scalars(select(Delivery.due_at)).all()
        assert due
        assert [each for each in due if each > soon] == []
        [found] = clocks.check(session)
        assert found.level == "problem"
        assert found.message.startswith("the clock of web@")
        if not any_database.sqlite:
            assert session.scalars(select(LogEntry.time)).one() < soon
