"""A worker that is killed amid a batch of charges: no card is charged twice."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from events import Database, reading, transaction
from events.admin import subscriptions
from events.tables import Delivery
from tasks.gateways.payment import SandboxCharge
from tasks.payment import Charge
from tests.forked import ForkedProcess
from tests.servers import Process, wait_until
from tests.tasks.builders import placed, stocked
from tests.tasks.conftest import shop

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ORDERS = 12
WORKER = ["celery", "-A", "tests.tasks.hanging_payments", "worker", "-Q", "payment", "-c"]


@pytest.fixture
def start(
    any_database: Database, any_broker: str, tmp_path: Path
) -> Iterator[Callable[..., Process]]:
    """A function that starts a program of the shop with these arguments of Python."""
    env = os.environ | {
        "DATABASE_URL": any_database.url.render_as_string(hide_password=False),
        "BROKER_URL": any_broker,
        "PYTHONPATH": str(ROOT),
        "GATE": str(tmp_path / "gate"),
        "LEASE": "2",
    }
    started: list[Process] = []

    def run(*arguments: str) -> Process:
        home = tmp_path / f"process-{len(started)}"
        home.mkdir()
        started.append(ForkedProcess(arguments, home, env))
        started[-1].launch()
        return started[-1]

    yield run
    for process in started:
        process.kill()


def charges() -> dict[str, str]:
    """Return the id of each charge that the gateway made, by its key."""
    with reading() as session:
        rows = session.scalars(select(SandboxCharge))
        return {row.key: str(row.charge_id) for row in rows}


def recorded() -> set[str]:
    """Return the id of each charge that the payment service recorded."""
    with reading() as session:
        return set(map(str, session.scalars(select(Charge.charge_id))))


@pytest.mark.parametrize(
    ("any_database", "any_broker"), [("sqlite", "valkey"), ("postgres", "rabbitmq")], indirect=True
)
def test_a_worker_that_is_killed_amid_a_batch_of_charges_repeats_none(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    with transaction() as session:
        stocked(session, MUG=100)
        subscriptions.register(session, shop())
    for _ in range(ORDERS):
        placed("tok_ok", MUG=1)
    worker = start(*WORKER, "1", "--without-mingle", "--without-gossip")
    start("tidings", "relay")
    wait_until(
        lambda: (tmp_path / "gate.reached").exists() and len(charges()) > 1,
        what=f"charges side by side; the worker's log: {worker.log()}",
    )
    worker.kill()
    before = charges()
    assert 1 < len(before) <= ORDERS
    assert recorded() == set()

    (tmp_path / "gate").touch()
    start(*WORKER, "1", "--without-mingle", "--without-gossip")
    wait_until(lambda: len(recorded()) == ORDERS, what="every charge recorded")
    after = charges()
    assert (len(after), after | before) == (ORDERS, after)
    assert recorded() == set(after.values())
    with reading() as session:
        payments = Delivery.subscription == "payment.charge_order"
        states = select(Delivery.state, func.count()).where(payments).group_by(Delivery.state)
        assert [tuple(row) for row in session.execute(states)] == [("done", ORDERS)]
