"""The file of a new SQLite database among other users of the machine."""

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from events import Database
from tests.servers import HANG


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def _write_to(path: Path) -> set[int]:
    """Write to the database; return the modes of its file and of those beside it."""
    with closing(Database(f"sqlite:///{path}", lock_timeout=HANG)) as database:
        with database.transaction() as session:
            session.execute(text("CREATE TABLE t (id INTEGER)"))
        file = path.resolve()
        files = list(file.parent.glob(f"{file.name}*"))
        assert f"{file.name}-wal" in {each.name for each in files}
        return {stat.S_IMODE(each.stat().st_mode) for each in files}


def test_a_new_file_and_those_beside_it_are_for_their_user_alone(tmp_path: Path):
    assert _write_to(tmp_path / "new" / "a b.db") == {0o600}


def test_a_file_to_which_a_link_leads_is_for_its_user_alone(tmp_path: Path):
    (link := tmp_path / "link.db").symlink_to(tmp_path / "target.db")

    assert _write_to(link) == {0o600}


def test_a_file_that_exists_keeps_its_mode(tmp_path: Path):
    (file := tmp_path / "shared.db").touch()
    file.chmod(0o660)

    _write_to(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o660
