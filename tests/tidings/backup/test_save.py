"""`tidings backup`: one whole file, private, made while others write, and never over another."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from events import Database
from events.database import use
from tests.disks import Disk
from tests.tasks.builders import placed
from tests.tidings.cli.calls import call, told


def numbers(file: Path) -> list[str]:
    """Return the order numbers in an SQLite file that stands alone."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM orders ORDER BY key")]


def refused(*words: str) -> str:
    """Return the error of a command that must be refused without a traceback."""
    result = call(*words)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr


def test_a_backup_is_one_private_file_with_everything(shop: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup.sqlite"

    output = told("backup", str(file))

    assert output.startswith(f"saved {file} (")
    assert "orders up to ORD-1002, newest event 20" in output
    assert numbers(file) == ["ORD-1001", "ORD-1002"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"var", "backup.sqlite"}


def test_a_backup_made_while_orders_arrive_is_one_moment_and_delays_none(
    shop: Database, tmp_path: Path
) -> None:
    stop = threading.Event()

    def order_until_stopped() -> None:
        while not stop.is_set():
            placed()

    customer = threading.Thread(target=order_until_stopped)
    customer.start()
    try:
        files = [tmp_path / f"{number}.sqlite" for number in range(5)]
        for file in files:
            told("backup", str(file))
    finally:
        stop.set()
        customer.join()

    for file in files:
        found = numbers(file)
        assert found == [f"ORD-{1001 + place}" for place in range(len(found))]
        with closing(sqlite3.connect(file)) as connection:
            count = "SELECT count(*) FROM events WHERE type = 'order.created'"
            assert connection.execute(count).fetchone() == (len(found),)
    assert len(numbers(files[-1])) > 2


def test_an_existing_file_is_replaced_with_force_only(shop: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup.sqlite"
    told("backup", str(file))
    placed()

    assert f"{file} exists; name another file, or replace it with --force" in refused(
        "backup", str(file)
    )
    assert len(numbers(file)) == 2

    told("backup", str(file), "--force")
    assert len(numbers(file)) == 3


def test_a_name_that_no_file_can_have_is_refused(shop: Database, tmp_path: Path) -> None:
    assert "x cannot be written: File name too long" in refused(
        "backup", str(tmp_path / ("x" * 300))
    )


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal", "-gate", "-turn"])
def test_the_files_of_the_database_are_never_the_target(end: str, shop: Database) -> None:
    error = refused("backup", f"{shop.url.database}{end}", "--force")

    assert "belongs to the database itself; name another file" in error


def test_a_link_is_not_followed(shop: Database, tmp_path: Path) -> None:
    precious, link, loop = tmp_path / "precious", tmp_path / "link", tmp_path / "loop"
    precious.write_text("precious")
    link.symlink_to(precious)
    loop.symlink_to(loop)

    for options in ([], ["--force"]):
        error = refused("backup", str(link), *options)
        assert "is a symbolic link; name the file that it leads to" in error
        assert "loop is no file; name another one" in refused("backup", str(loop), *options)
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("target", ["missing/backup.sqlite", "var/tidings.sqlite/backup"])
def test_a_place_that_cannot_be_written_is_named(
    target: str, shop: Database, tmp_path: Path
) -> None:
    assert f"{tmp_path / target} cannot be written: " in refused("backup", str(tmp_path / target))


def test_a_full_disk_leaves_the_earlier_backup_and_nothing_else(shop: Database, disk: Disk) -> None:
    file = disk.folder / "backup.sqlite"
    told("backup", str(file))
    placed()
    disk.fill()

    assert "full" in refused("backup", str(file), "--force")
    assert {path.name for path in disk.folder.iterdir()} == {"backup.sqlite", "filling"}
    assert len(numbers(file)) == 2


def test_a_damaged_database_replaces_no_backup(shop: Database, tmp_path: Path) -> None:
    file, database = tmp_path / "backup.sqlite", Path(shop.url.database or "")
    told("backup", str(file))
    shop.close()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        name = "SELECT rootpage FROM sqlite_master WHERE name = 'events'"
        [page] = connection.execute(name).fetchone()
        [size] = connection.execute("PRAGMA page_size").fetchone()
    with database.open("r+b") as content:
        content.seek((page - 1) * size)
        content.write(b"\x00" * size)

    assert f"{database} is damaged: " in refused("backup", str(file), "--force")
    assert numbers(file) == ["ORD-1001", "ORD-1002"]


def test_another_sqlite_file_is_not_backed_up(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE things (id INTEGER)")
    with closing(Database(f"sqlite:///{other}")) as database:
        use(database)
        try:
            error = refused("backup", str(tmp_path / "backup"))
        finally:
            use(None)

    assert error == f"Error: {other} is no database of Tidings\n"
    assert not (tmp_path / "backup").exists()


def test_postgresql_is_left_to_its_own_tools(postgres_url: str, tmp_path: Path) -> None:
    with closing(Database(postgres_url)) as database:
        use(database)
        try:
            for command in ("backup", "restore"):
                assert "use pg_dump" in refused(command, str(tmp_path / "backup"))
        finally:
            use(None)
    assert list(tmp_path.iterdir()) == []
