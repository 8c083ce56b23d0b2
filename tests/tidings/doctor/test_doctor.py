"""The doctor's checks of the database and its tables, each with a problem and without."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text, update

from events import Database, clock, heartbeat, transaction
from events.admin import subscriptions
from events.relay.fanout import fan_out
from events.relay.sending import mark_due_as_sent
from events.tables import Delivery, Heartbeat, InvalidMessageRow, SubscriptionRow
from events.testing import Bus
from tests.disks import Disk, left_by_a_kill
from tests.tasks.builders import placed, stocked
from tests.tasks.conftest import QUEUES, services
from tidings.doctor import database as database_part
from tidings.doctor import examination
from tidings.doctor.findings import Finding, guarded
from tidings.migrations.run import migrate

Rows = Callable[[], list[Finding]]


def problems(findings: list[Finding]) -> list[str]:
    return [f"{each.part}: {each.message}" for each in findings if each.level == "problem"]


def examined() -> list[Finding]:
    return list(examination._check_tables())


@pytest.fixture
def well(any_database: Database) -> None:
    """A database as of a shop that is well: everything registered, served and alive."""
    with transaction() as session:
        stocked(session, MUG=5)
        subscriptions.register(session, services())
    heartbeat.beat("relay@here", "relay")
    for queue in QUEUES:
        heartbeat.beat(f"{queue}@here", "worker", [queue])


def test_a_shop_that_is_well_is_told_so(well: None) -> None:
    assert {each.level for each in examined()} == {"ok"}


def test_a_missing_relay_is_found(well: None) -> None:
    heartbeat.leave("relay@here")

    [found] = [each for each in examined() if each.level == "problem"]

    assert (found.part, found.fix) == ("relay", "start one: tidings relay")


def test_a_relay_without_a_broker_is_found(well: None) -> None:
    heartbeat.beat("relay@here", "relay", trouble="ConnectionError: refused")

    assert problems(examined()) == ["relay: relay@here reports: ConnectionError: refused"]


def test_a_queue_without_a_worker_is_found_and_the_worker_named(well: None) -> None:
    heartbeat.leave("payment@here")

    [found] = [each for each in examined() if each.level == "problem"]

    assert (found.part, found.message) == ("workers", "queue payment has no worker")
    assert found.fix == "start one: celery -A tasks worker -Q payment -n payment@%h"


def test_a_subscription_that_no_worker_knows_any_more_is_found(well: None) -> None:
    with transaction() as session:
        long_ago = clock.now() - timedelta(hours=1)
        session.execute(
            update(SubscriptionRow)
            .where(SubscriptionRow.name == "payment.refund")
            .values(last_seen=long_ago)
        )

    [found] = [each for each in examined() if each.level == "problem"]

    assert (
        found.message == "the workers of payment do not know payment.refund, so its deliveries wait"
    )
    assert "tidings subscriptions remove payment.refund" in found.fix


def test_a_subscription_of_the_code_that_is_not_registered_is_found(well: None) -> None:
    with transaction() as session:
        subscriptions.unregister(session, "payment.refund", who="test", why="test")

    assert problems(examined()) == [
        "subscriptions: not registered, so they receive no events: payment.refund"
    ]


def test_a_paused_subscription_is_a_notice_and_its_backlog_no_problem(well: None) -> None:
    placed()
    with transaction() as session:
        fan_out(session)
        for each in services():
            subscriptions.pause(session, each.name, who="ada", why="the bank moves")
        session.execute(update(Delivery).values(due_at=clock.now() - timedelta(hours=1)))

    found = examined()

    assert problems(found) == []
    assert len([each for each in found if each.level == "notice"]) == len(services())


def test_a_process_whose_clock_is_ahead_is_found(well: None) -> None:
    with transaction() as session:
        ahead = clock.now() + timedelta(seconds=90)
        session.execute(
            update(Heartbeat).where(Heartbeat.name == "email@here").values(last_seen=ahead)
        )

    [found] = problems(examined())

    assert found.startswith("clock: the clock of email@here is ")


def late(**changes: object) -> None:
    with transaction() as session:
        session.execute(update(Delivery).values(**changes))


def test_events_that_no_relay_takes_are_found(well: None) -> None:
    placed()
    with transaction() as session:
        session.execute(
            text("UPDATE events SET publish_at = :then").bindparams(
                then=clock.now() - timedelta(minutes=5)
            )
        )

    [found] = problems(examined())

    assert found.startswith("deliveries: 1 events wait for a relay, the oldest for 5 min")


def test_deliveries_that_are_due_and_not_sent_are_found_with_the_oldest_age(well: None) -> None:
    placed()
    with transaction() as session:
        fan_out(session)
    late(due_at=clock.now() - timedelta(hours=2, minutes=3))

    [found] = problems(examined())

    assert found.startswith("deliveries: 6 deliveries are due but not sent, the oldest for 2 hr")


def test_deliveries_that_wait_for_their_next_attempt_are_no_problem(well: None) -> None:
    placed()
    with transaction() as session:
        fan_out(session)
    late(due_at=clock.now() + timedelta(hours=2))

    assert problems(examined()) == []


def test_deliveries_that_were_sent_and_never_handled_are_found(well: None) -> None:
    placed()
    with transaction() as session:
        fan_out(session)
        for each in services():
            mark_due_as_sent(session, each.name)
    late(sent_at=clock.now() - timedelta(minutes=20))

    [found] = problems(examined())

    assert found.startswith(
        "deliveries: 6 deliveries are sent but not handled, the oldest for 20 min"
    )


def test_dead_letters_are_found(bus: Bus) -> None:
    placed("tok_broken")
    for _ in range(10):
        bus.advance(3600)

    assert "dead letters: 1 need an operator's decision" in problems(examined())


def test_invalid_messages_are_found(well: None) -> None:
    with transaction() as session:
        session.add(
            InvalidMessageRow(
                at=clock.now(),
                queue="payment",
                reason="unknown task",
                error="",
                headers="{}",
                body=b"",
            )
        )

    assert problems(examined()) == [
        "invalid messages: 1 messages on the queues were no task messages of Tidings"
    ]


def test_a_database_that_is_up_to_date_is_well(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tidings.sqlite'}")
    migrate(database)

    assert {each.level for each in database_part.check(database)} == {"ok"}
    database.close()


def test_a_file_that_is_not_there_is_found_and_not_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tidings.sqlite'}")

    [found] = database_part.check(database)

    assert (found.level, "tidings migrate" in found.fix) == ("problem", True)
    assert list(tmp_path.iterdir()) == []


def test_migrations_that_were_not_applied_are_found(any_database: Database) -> None:
    [found] = [each for each in database_part.check(any_database) if each.part == "migrations"]

    assert (found.level, found.fix) == ("problem", "run `tidings migrate`")
    assert found.message.startswith("0001, 0002")


def test_a_schema_that_is_newer_than_the_code_is_told(any_database: Database) -> None:
    with transaction() as session:
        session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        session.execute(text("INSERT INTO alembic_version VALUES ('9999')"))

    [found] = [each for each in database_part.check(any_database) if each.part == "migrations"]

    assert (found.level, found.message.startswith("the schema is newer than this code")) == (
        "notice",
        True,
    )


def test_sqlite_without_wal_and_full_synchronization_is_found(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tidings.sqlite'}")
    database.reader = create_engine(database.url)
    with database.reader.begin() as connection:
        connection.execute(text("CREATE TABLE plain (id INTEGER)"))
        connection.execute(text("PRAGMA synchronous=NORMAL"))
        found = problems(list(database_part._sqlite(connection, tmp_path / "tidings.sqlite")))
    database.close()

    assert [each.partition(":")[0] for each in found] == ["database", "durability"]


def test_a_disk_that_is_nearly_full_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_part, "MIN_DISK_SPACE", 1 << 62)

    assert "disk space" in [
        each.part for each in database_part.check(database) if each.level == "problem"
    ]


def test_a_sqlite_that_can_only_be_read_is_found(disk: Disk) -> None:
    database = Database(f"sqlite:///{disk.folder / 'tidings.sqlite'}")
    migrate(database)
    left = left_by_a_kill(database)
    disk.seal()
    found = [each for each in database_part.check(left) if each.part == "writing"]
    left.close()

    [wrong] = problems(found)
    assert wrong.startswith(
        "writing: no order can be saved: attempt to write a readonly database; "
        "it is read-only: make it writable"
    )


def test_a_postgres_that_is_a_standby_is_found(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    database = Database(postgres_url)
    found = [each for each in database_part.check(database) if each.part == "writing"]
    database.close()

    assert [(each.level, "all transactions are read-only" in each.message) for each in found] == [
        ("problem", True)
    ]


def test_a_postgres_that_does_not_answer_is_found_without_its_password() -> None:
    database = Database("postgresql://ada:sesame@127.0.0.1:1/tidings")

    [found] = database_part.check(database)
    database.close()

    assert (found.part, found.level) == ("database", "problem")
    assert "does not answer" in found.message
    assert "sesame" not in found.message


def test_a_postgres_that_may_forget_is_found(postgres_url: str) -> None:
    database = Database(postgres_url)  # the tests' server runs without fsync

    found = problems(list(database_part.check(database)))
    database.close()

    assert "durability: fsync off: a power cut can lose accepted orders" in found


def test_a_clock_that_is_not_the_databases_is_found(postgres_url: str) -> None:
    database = Database(postgres_url)
    behind = clock.now() - timedelta(minutes=5)
    clock.follow(lambda: behind)
    try:
        found = problems(list(database_part.check(database)))
    finally:
        clock.follow(None)
        database.close()

    assert [each for each in found if each.startswith("clock: the clock of the database is 30")]


def test_a_check_that_fails_in_a_new_way_is_a_finding_too() -> None:
    [found] = guarded("broker", lambda: [1 / 0])  # type: ignore[list-item]

    assert (found.level, found.message) == (
        "problem",
        "the examination failed: ZeroDivisionError: division by zero",
    )
