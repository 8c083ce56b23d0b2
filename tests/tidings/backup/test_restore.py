"""`tidings restore`: what is refused, what is kept, and the numbers of the orders after it."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from events import Database, heartbeat, reading, transaction
from events.tables import Heartbeat
from tasks import restores
from tests.disks import Disk
from tests.tasks.builders import placed, stocked
from tests.tidings.backup.earlier_schema import copy_to_schema
from tests.tidings.backup.test_save import numbers, refused
from tests.tidings.cli.calls import audited, call, told
from tidings import migrations
from tidings.migrations.run import migrate

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM orders").fetchone()
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def backup(shop: Database, tmp_path: Path) -> Path:
    """A backup with the orders ORD-1001 and ORD-1002."""
    told("backup", str(tmp_path / "backup.sqlite"))
    return tmp_path / "backup.sqlite"


@pytest.fixture
def reader(shop: Database) -> Iterator[subprocess.Popen[str]]:
    """A process with an idle connection to the database."""
    words = [sys.executable, "-c", HOLD, str(shop.url.database)]
    with subprocess.Popen(words, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        yield process
        process.communicate("")


def path_of(shop: Database) -> Path:
    return Path(shop.url.database or "")


def replaced(shop: Database) -> Path:
    """Return the file that keeps the replaced database."""
    [kept] = path_of(shop).parent.glob("tidings.sqlite.replaced-*Z")
    return kept


def placed_numbers(shop: Database) -> list[str]:
    with reading() as session:
        return list(session.scalars(text("SELECT number FROM orders ORDER BY key")))


def test_the_backup_replaces_the_database_which_is_kept(shop: Database, backup: Path) -> None:
    placed()

    output = told("restore", str(backup), "--force", "--why", "the disk was full")

    assert placed_numbers(shop) == ["ORD-1001", "ORD-1002"]
    assert numbers(replaced(shop)) == ["ORD-1001", "ORD-1002", "ORD-1003"]
    assert replaced(shop).stat().st_mode & 0o777 == 0o600
    assert f"the replaced database is kept: {replaced(shop)}" in output
    assert "1 order of the replaced database is not in the backup" in output
    assert "the next order is placed above ORD-1003" in output
    assert audited()[0] == ("restore", "database, up to ORD-1003", "the disk was full")
    assert {path.name for path in path_of(shop).parent.iterdir() if path.name[0] == "."} == set()


def test_no_number_is_given_twice_however_often_a_backup_is_restored(
    shop: Database, backup: Path
) -> None:
    given = {placed().number for _ in range(3)}
    for _ in range(2):
        told("restore", str(backup), "--force")
        given |= {placed().number for _ in range(2)}

    assert given == {f"ORD-{number}" for number in range(1003, 1010)}


def test_numbers_are_skipped_by_time_if_nobody_knows_the_last_one(
    shop: Database, backup: Path
) -> None:
    shop.close()
    for file in path_of(shop).parent.iterdir():
        file.unlink()

    told("restore", str(backup))

    number = int(placed().number.removeprefix("ORD-"))
    assert 1002 + restores.MAX_BURST < number < 1002 + restores.MAX_BURST + 3600 * restores.MAX_RATE
    assert path_of(shop).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("last", ["ORD-2000", "2000", "#2000", "ord 2000", "\uff12000"])
def test_numbers_follow_the_last_one_that_a_person_knows(
    last: str, shop: Database, backup: Path
) -> None:
    told("restore", str(backup), "--force", "--last-number", last)

    assert placed().number == "ORD-2001"


@pytest.mark.parametrize("last", ["ORD-", "ORD-1e3", "ORD-١٢", "2000; DROP", "9" * 30, "-5"])
def test_a_last_number_that_is_none_is_refused(last: str, shop: Database, backup: Path) -> None:
    result = call("restore", str(backup), "--force", f"--last-number={last}")

    assert result.exit_code == 2
    assert "write an order number, such as ORD-1042" in result.stderr
    assert len(placed_numbers(shop)) == 2


def test_a_database_is_replaced_with_force_only(shop: Database, backup: Path) -> None:
    placed()

    assert "exists; --force replaces it, and keeps it" in refused("restore", str(backup))
    assert len(placed_numbers(shop)) == 3


def test_a_restore_is_refused_while_a_process_has_a_connection_and_names_it(
    shop: Database, backup: Path, reader: subprocess.Popen[str]
) -> None:
    placed()

    error = refused("restore", str(backup), "--force")

    assert f"(pid {reader.pid}) use {path_of(shop)}; stop them" in error
    assert len(placed_numbers(shop)) == 3


def test_an_unreadable_database_in_use_is_not_moved_away(
    shop: Database, backup: Path, reader: subprocess.Popen[str]
) -> None:
    shop.close()
    path_of(shop).write_bytes(b"no database " * 1000)

    assert f"(pid {reader.pid})" in refused("restore", str(backup), "--force")
    assert path_of(shop).read_bytes().startswith(b"no database")


def test_an_unreadable_database_is_moved_away_and_kept(shop: Database, backup: Path) -> None:
    shop.close()
    path_of(shop).write_bytes(b"no database " * 1000)

    told("restore", str(backup), "--force")

    assert placed_numbers(shop) == ["ORD-1001", "ORD-1002"]
    assert replaced(shop).read_bytes().startswith(b"no database")


def make_foreign(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE things (id INTEGER)")


def run_in(statement: str, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


def make_newer(file: Path) -> None:
    run_in("UPDATE alembic_version SET version_num = '9999'", file)


def lie_about_the_version(file: Path) -> None:
    run_in("UPDATE alembic_version SET version_num = '0001'", file)


def make_earlier(file: Path) -> None:
    run_in("ALTER TABLE deliveries RENAME COLUMN lost_count TO former_name", file)


def drop_a_table(file: Path) -> None:
    run_in("DROP TABLE charges", file)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def scribble(file: Path) -> None:
    file.write_bytes(b"Dear diary")


def vanish(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (vanish, "there is no file"),
        (scribble, "cannot be read: file is not a database"),
        (cut, ""),
        (make_foreign, "is no database of Tidings"),
        (drop_a_table, "is damaged: it has no table charges"),
        (make_newer, "was migrated by a newer version of Tidings"),
        (lie_about_the_version, "its tables are not those of the version that it names"),
        (make_earlier, "was created by an earlier development version"),
    ],
)
def test_a_backup_that_cannot_be_used_changes_nothing(
    spoil: object, reason: str, shop: Database, backup: Path
) -> None:
    assert callable(spoil)
    spoil(backup)
    placed()

    error = refused("restore", str(backup), "--force")

    assert reason in error
    assert str(backup) in error
    assert len(placed_numbers(shop)) == 3
    assert list(path_of(shop).parent.glob("*replaced*")) == []


def test_the_database_itself_is_no_backup(shop: Database) -> None:
    error = refused("restore", str(path_of(shop)), "--force")

    assert "is the database itself; name a backup" in error


def test_a_full_disk_leaves_the_database_as_it_was(
    shop: Database, backup: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk = Database(f"sqlite:///{disk.folder / 'tidings.sqlite'}")
    monkeypatch.setattr("events.database._database", on_disk)
    migrate(on_disk)
    with transaction() as session:
        stocked(session, MUG=9)
    number = placed().number
    for sizes in (0, 1.5, 2.2):  # for the copy, for the one that keeps, and for none of the rest
        disk.fill(but=int(backup.stat().st_size * sizes))
        error = refused("restore", str(backup), "--force")
        assert "the disk is full; make room" in error or "No space left" in error
        assert not list(disk.folder.glob("*replaced*"))
        disk.make_room()
        assert placed_numbers(on_disk) == [number]
    on_disk.close()


def test_a_backup_of_an_earlier_version_is_migrated(shop: Database, tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    copy_to_schema("0002", old, source=path_of(shop))

    told("restore", str(old), "--force", "--last-number", "ORD-1007")

    with shop.reader.connect() as connection:
        assert migrations.pending(connection) == []
    assert placed().number == "ORD-1008"


def test_a_restore_of_nothing_or_of_two_kinds_is_a_usage_error(
    shop: Database, backup: Path
) -> None:
    for words in ([], [str(backup), "--by-hand"]):
        result = call("restore", *words)
        assert result.exit_code == 2
        assert "name the backup FILE, or say --by-hand after another restore" in result.stderr


def test_after_a_restore_by_hand_numbers_are_skipped_on_both_databases(
    any_database: Database,
) -> None:
    with transaction() as session:
        stocked(session, MUG=9)
    before = placed().number

    output = told("restore", "--by-hand", "--last-number", "ORD-1500", "--why", "PITR")

    assert before == "ORD-1001"
    assert "the next order is placed above ORD-1500" in output
    assert placed().number == "ORD-1501"
    told("restore", "--by-hand", "--last-number", "ORD-1002")  # lower than what was given
    assert placed().number in ("ORD-1502", "ORD-1503")
    told("restore", "--by-hand")
    assert int(placed().number.removeprefix("ORD-")) > 1500 + restores.MAX_BURST


def test_a_restore_by_hand_is_refused_while_processes_are_alive(any_database: Database) -> None:
    heartbeat.beat("relay@here", "relay")

    assert "relay@here used the database within the last seconds" in refused("restore", "--by-hand")
    with reading() as session:
        assert restores.unsettled(session) == []
        assert session.get(Heartbeat, "relay@here") is not None
