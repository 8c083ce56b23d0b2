"""All of Tidings under `tidings up`: each sandbox card, a new service, broken parts."""

import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests import tutorial
from tests.servers import HANG, wait_until
from tests.tidings.up.instance import Instance
from tidings.http_client import open_client

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
LOGIN = "ops:a-login-of-this-test"
AUTHORIZED = {"Authorization": f"Basic {b64encode(LOGIN.encode()).decode()}"}
TIDINGS = [sys.executable, "-m", "tidings"]
CHARGES = "SELECT charge_id FROM sandbox_charges WHERE charge_id IS NOT NULL AND key LIKE :event"

CHIMES = """
from datetime import datetime, timedelta

from events import Event, schedule


class Chimed(Event, type="chimes.chimed", source="chimes"):
    due_at: datetime


@schedule(every=timedelta(seconds=10))
def chime(due_at: datetime) -> Chimed:
    return Chimed(due_at=due_at)
"""


class Whole(Instance):
    """An instance on a copy of the code with `tasks/loyalty.py` of the tutorial dropped in."""

    def __init__(self, home: Path) -> None:
        code = home / "code"
        for package in ("events", "tasks", "tidings", "web"):
            shutil.copytree(
                ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "celeryconfig.py", code)
        (code / "tasks/loyalty.py").write_text(tutorial.files()["tasks/loyalty.py"])
        (code / "tasks/chimes.py").write_text(CHIMES)
        super().__init__(home, PYTHONPATH=str(code), OPS_AUTH=LOGIN)
        self.command = [*TIDINGS, *self.command[1:]]
        self.broken: dict[str, Any] = {}

    def ends(self, order: dict[str, Any], status: str) -> dict[str, Any]:
        """Wait for the final status of an order and return the order."""
        wait_until(
            lambda: self.status(order) == status,
            within=HANG,
            what=f"{order['number']} to be {status}",
        )
        return self.ask(f"/api/v1/orders/{order['id']}", Authorization=f"Bearer {order['token']}")

    def settles(self, order: dict[str, Any], **wanted: str) -> None:
        """Wait until the fields of an order have these values."""
        path, token = f"/api/v1/orders/{order['id']}", f"Bearer {order['token']}"
        wait_until(
            lambda: wanted.items() <= self.ask(path, Authorization=token).items(),
            what=f"{wanted}",
        )

    def rows(self, query: str, **values: object) -> list[Any]:
        """Return the rows of a query."""
        engine = create_engine(f"sqlite:///{self.data}/tidings.sqlite")
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query), values)]
        finally:
            engine.dispose()

    def event_of(self, order: dict[str, Any]) -> str:
        """Return the id of the order's OrderCreated."""
        found = self.ask(
            f"/api/v1/events?subject={order['number']}&type=order.created", **AUTHORIZED
        )
        return str(found["events"][0]["id"])

    def charges(self, order: dict[str, Any]) -> int:
        """Return the number of charges of an order at the gateway."""
        return len(self.rows(CHARGES, event=f"{self.event_of(order)}%"))

    def tasks(self, name: str, order: dict[str, Any]) -> list[str]:
        """Return the states that Flower shows of a task of an order."""
        with open_client(f"http://127.0.0.1:{self.flower_port}", timeout=HANG) as client:
            response = client.get(f"/api/tasks?taskname={name}", headers=AUTHORIZED)
        return [
            each["state"]
            for each in response.raise_for_status().json().values()
            if order["number"] in (each["args"] or "")
        ]

    def state(self, task: str) -> str | None:
        """Return the state that Flower shows of a task, if it has it."""
        with open_client(f"http://127.0.0.1:{self.flower_port}", timeout=HANG) as client:
            response = client.get(f"/api/task/info/{task}", headers=AUTHORIZED)
        return str(response.json()["state"]) if response.is_success else None

    def operate(self, *words: str) -> str:
        """Run a command of `tidings` on this instance's database."""
        env = {**(self.env or {}), "DATABASE_URL": f"sqlite:///{self.data}/tidings.sqlite"}
        done = subprocess.run(
            [*TIDINGS, *words], env=env, capture_output=True, text=True, timeout=HANG, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """One instance for all of these tests."""
    instance = Whole(tmp_path_factory.mktemp("whole"))
    instance.start()
    instance.broken = instance.order(payment_token="tok_broken")  # it takes its time to die
    yield instance
    instance.stop(60)


def test_a_good_order_is_charged_shipped_and_told_of_once(whole: Whole):
    order = whole.order(payment_token="tok_ok")

    ended = whole.ends(order, "shipped")

    assert (ended["stock"], ended["payment"], ended["shipment"]) == (
        "reserved",
        "charged",
        "shipped",
    )
    assert whole.charges(order) == 1
    assert (
        len(
            whole.rows(
                "SELECT order_id FROM shipments WHERE order_id = :id AND state = 'shipped'",
                id=order["id"],
            )
        )
        == 1
    )
    mails = "SELECT kind FROM mails WHERE order_id = :id ORDER BY kind"
    wait_until(
        lambda: whole.rows(mails, id=order["id"]) == [("confirmed",), ("received",), ("shipped",)],
        what="three mails",
    )


@pytest.mark.slow
def test_a_schedule_that_was_dropped_in_publishes_its_event(whole: Whole):
    def chimes() -> list[str]:
        found = whole.ask("/api/v1/events?type=chimes.chimed", **AUTHORIZED)["events"]
        return [each["data"]["due_at"] for each in found]

    wait_until(lambda: len(chimes()) > 1, what="two due times")
    assert len(set(chimes())) == len(chimes())
    [entry] = whole.ask("/api/v1/schedules", **AUTHORIZED)["schedules"]
    assert (entry["name"], entry["due"]) == ("chime", "every 0:00:10")


def test_a_service_that_was_dropped_in_hears_events(whole: Whole):
    whole.ends(
        whole.order(
            customer={"name": "Loyal", "email": "loyal@example.org"},
            items=[{"sku": "MUG-BLUE", "quantity": 4}],
        ),
        "shipped",
    )

    query = "SELECT points FROM loyalty_points WHERE email = 'loyal@example.org'"
    wait_until(lambda: whole.rows(query) == [(50,)], what="a point for each of the 50 euros")


def test_what_is_declined_or_out_of_stock_is_cancelled_and_undone(whole: Whole):
    declined = whole.order(payment_token="tok_declined")
    greedy = whole.order(items=[{"sku": "LAMP-BRASS", "quantity": 50}])

    assert "declined" in whole.ends(declined, "cancelled")["reason"]
    assert "out of stock" in whole.ends(greedy, "cancelled")["reason"]
    whole.settles(declined, stock="released", payment="failed")
    whole.settles(greedy, stock="failed")
    wait_until(
        lambda: (
            whole.ask(f"/api/v1/orders/{greedy['id']}", Authorization=f"Bearer {greedy['token']}")[
                "payment"
            ]
            != "charged"
        )
    )
    assert whole.charges(declined) == 0
    left = "SELECT sum(quantity) FROM stock_movements WHERE order_id IN (:one, :other)"
    assert whole.rows(left, one=declined["id"], other=greedy["id"]) in ([(0,)], [(None,)])
    refunds = (
        "SELECT count(*) FROM sandbox_refunds r JOIN sandbox_charges c "
        "ON c.charge_id = r.charge_id WHERE c.key LIKE :event"
    )
    wait_until(
        lambda: (
            whole.rows(refunds, event=f"{whole.event_of(greedy)}%") == [(whole.charges(greedy),)]
        ),
        what="the refund",
    )


def test_a_flaky_card_is_seen_to_be_tried_again(whole: Whole):
    order = whole.order(payment_token="tok_flaky")

    whole.ends(order, "shipped")

    event = whole.event_of(order).replace("-", "")
    retried = whole.rows("SELECT task_id FROM attempts WHERE event_id = :id", id=event)
    handled = whole.rows(
        "SELECT message FROM deliveries "
        "WHERE event_id = :id AND subscription = 'payment.charge_order'",
        id=event,
    )
    assert len(retried) == 2
    # By its id: beside another order's, a message may be labelled with that one's number.
    for [task] in retried:
        wait_until(lambda task=task: whole.state(task) == "RETRY", what="a retry in Flower")
    [[task]] = handled
    # Its message may also have carried another order's delivery, which failed.
    failed = whole.rows("SELECT id FROM attempts WHERE task_id = :task", task=task)
    ends = {"RETRY", "FAILURE"} if failed else {"SUCCESS"}
    wait_until(lambda: whole.state(task) in ends, what="the success in Flower")


def test_a_lost_answer_charges_once(whole: Whole):
    order = whole.order(payment_token="tok_lost_answer")

    whole.ends(order, "shipped")

    assert whole.charges(order) == 1


@pytest.mark.slow
def test_orders_wait_for_a_broken_gateway_and_go_on_when_it_is_mended(whole: Whole):
    whole.operate("sandbox", "payment", "--down")
    orders = [whole.order() for _ in range(3)]
    tried = "SELECT count(DISTINCT event_id) FROM attempts WHERE error_type = 'GatewayDown'"
    wait_until(lambda: whole.rows(tried) >= [(3,)], what="three charges that failed")
    assert {whole.status(order) for order in orders} == {"placed"}

    whole.operate("sandbox", "payment", "--up")

    for order in orders:
        whole.ends(order, "shipped")


def test_orders_are_accepted_while_the_broker_is_dead_and_completed_when_it_is_back(whole: Whole):
    [broker] = whole.titled("valkey-server")
    broker.kill()

    order = whole.order()

    whole.ends(order, "shipped")


@pytest.mark.slow
def test_a_broken_card_is_a_dead_letter_for_operators_and_in_flower(whole: Whole):
    order = whole.broken

    def dead() -> list[dict[str, Any]]:
        letters = whole.ask("/api/v1/dead-letters", **AUTHORIZED)["dead_letters"]
        return [each for each in letters if each["subject"] == order["number"]]

    wait_until(dead, within=HANG, what="the dead letter")
    assert dead()[0]["subscription"] == "payment.charge_order"
    wait_until(
        lambda: "FAILURE" in whole.tasks("payment.charge_order", order), what="FAILURE in Flower"
    )

    def alerts() -> list[str]:
        found = whole.ask("/api/v1/alerts", **AUTHORIZED)["alerts"]
        return [each["state"] for each in found if each["subject"] == "payment.charge_order"]

    wait_until(lambda: "firing" in alerts(), within=HANG, what="the alert, by the relay")
