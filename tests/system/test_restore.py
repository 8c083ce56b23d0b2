"""A backup is made amid orders and restored later: the world and the log agree again."""

import json
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.servers import wait_until
from tests.tidings.up.instance import ForkedInstance, Instance

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Instance]:
    """A running instance."""
    instance = ForkedInstance(tmp_path)
    instance.start()
    yield instance
    if instance.running():
        instance.stop(60)


def operate(shop: Instance, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the shop's database."""
    env = {**(shop.env or {}), "DATABASE_URL": f"sqlite:///{shop.data}/tidings.sqlite"}
    return forked.run("tidings", *words, env=env)


def told(shop: Instance, *words: str) -> str:
    """Return the output of a command, which must succeed."""
    done = operate(shop, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(shop: Instance, query: str, *values: object) -> list[Any]:
    """Return the rows of a query."""
    with closing(sqlite3.connect(shop.data / "tidings.sqlite", timeout=30)) as connection:
        return connection.execute(query, values).fetchall()


def shipped(shop: Instance, order: dict[str, Any]) -> None:
    wait_until(lambda: shop.status(order) == "shipped", what=f"{order['number']} to be shipped")


def mails(shop: Instance) -> Counter[tuple[str, str]]:
    """Count the mails by subject and Message-ID."""
    found = [message_from_bytes(path.read_bytes()) for path in (shop.data / "mail").glob("*.eml")]
    return Counter((str(each["Subject"]), str(each["Message-ID"])) for each in found)


def restored(shop: Instance) -> list[dict[str, Any]]:
    """Return what the doctor finds about restores."""
    found = json.loads(operate(shop, "doctor", "--data-dir", str(shop.data), "--json").stdout)
    return [each for each in found if each["part"] == "restore"]


def test_an_older_backup_that_is_restored_amid_orders_repeats_nothing(
    shop: Instance, tmp_path: Path
) -> None:
    told(shop, "sandbox", "payment", "--down")
    early = [shop.order() for _ in range(2)]  # they wait for payment when the backup is made
    told(shop, "backup", str(tmp_path / "backup.sqlite"))
    told(shop, "sandbox", "payment", "--up")
    for order in [*early, *(late := [shop.order() for _ in range(3)])]:
        shipped(shop, order)
    world = rows(shop, "SELECT key, charge_id FROM sandbox_charges ORDER BY key")
    parcels = rows(shop, "SELECT tracking FROM sandbox_parcels ORDER BY tracking")
    numbers = {order["number"] for order in [*early, *late]}
    wait_until(lambda: len(mails(shop)) == 15, what="three mails for each order")

    refused = operate(shop, "restore", str(tmp_path / "backup.sqlite"), "--force")
    assert refused.returncode == 1
    assert "the processes of `tidings up`" in refused.stderr
    assert shop.end(signal.SIGTERM, 60) == 0
    output = told(shop, "restore", str(tmp_path / "backup.sqlite"), "--force", "--why", "a test")
    assert "3 orders of the replaced database are not in the backup" in output
    shop.start()

    told(shop, "sandbox", "payment", "--up")  # the backup has it down
    for order in [*early, newest := shop.order()]:
        shipped(shop, order)
    assert len({*numbers, newest["number"]}) == 6
    _one_more(world, rows(shop, "SELECT key, charge_id FROM sandbox_charges ORDER BY key"))
    _one_more(parcels, rows(shop, "SELECT tracking FROM sandbox_parcels ORDER BY tracking"))
    _same_mails_only(shop, newest)
    _doubts_are_listed_until_they_are_settled(shop, world, early)


def _one_more(before: list[Any], after: list[Any]) -> None:
    """See that the world did one thing more and nothing again."""
    assert set(before) < set(after)
    assert len(after) == len(before) + 1


def _same_mails_only(shop: Instance, newest: dict[str, Any]) -> None:
    """See that no customer was sent a second mail of a kind with another Message-ID."""
    wait_until(
        lambda: sum(newest["number"] in subject for subject, _ in mails(shop)) == 3,
        what="the mails of the new order",
    )
    kinds = Counter(subject for subject, _ in mails(shop))
    assert {subject for subject, count in kinds.items() if count > 1} == set()


def _doubts_are_listed_until_they_are_settled(
    shop: Instance, world: list[Any], early: list[dict[str, Any]]
) -> None:
    found = json.loads(told(shop, "doubts", "--json"))
    known = [order["number"] for order in early]
    assert Counter(each["gateway"] for each in found) == {"payment": 3, "shipping": 3}
    assert {each["number"] for each in found} == {None}
    charges = {charge for _, charge in world}
    assert all(
        any(charge in each["act"] for charge in charges)
        for each in found
        if each["gateway"] == "payment"
    )
    problems = [each["message"] for each in restored(shop) if each["level"] == "problem"]
    assert problems[0].startswith("the log is older than the world: it was restored at ")
    assert f"orders up to ORD-{1000 + len(known) + 3} may have been given before" in problems[0]
    assert problems[1].startswith("the gateways did 6 things")

    assert "1 restore settled" in told(shop, "doubts", "--settle", "--why", "refunded by hand")
    assert [each["level"] for each in restored(shop)] == ["ok"]
