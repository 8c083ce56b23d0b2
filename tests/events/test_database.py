"""The database of a process: the address that it is opened with, and its lock timeout."""

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from events import Database, transaction
from events.database import database, use
from events.db_errors import is_transient
from events.environment import InvalidSettings
from events.errors import UnsupportedDatabase
from events.settings import settings
from tests.events.sample import Mark


@pytest.mark.parametrize(
    ("url", "backend"),
    [
        ("mysql://ada@127.0.0.1/tidings", "mysql"),
        ("mariadb+pymysql://127.0.0.1/tidings", "mariadb"),
        ("oracle://127.0.0.1/tidings", "oracle"),
    ],
)
def test_the_error_for_an_unsupported_database_names_it_and_the_supported_ones(
    url: str, backend: str
) -> None:
    with pytest.raises(UnsupportedDatabase) as raised:
        Database(url)

    assert str(raised.value) == (
        f"DATABASE_URL names '{backend}'; "
        "write sqlite:///path/to/file or postgresql://user:password@host/name"
    )


def test_an_unsupported_database_url_in_the_environment_is_refused_at_first_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://ada:secret@127.0.0.1/tidings")
    settings.cache_clear()
    use(None)
    try:
        with pytest.raises(InvalidSettings, match="DATABASE_URL names 'mysql'") as raised:
            database()
    finally:
        settings.cache_clear()

    assert "secret" not in str(raised.value)


def test_a_short_lock_timeout_ends_the_wait_for_a_lock_of_postgresql(
    postgres_database: Database,
) -> None:
    url = postgres_database.url.render_as_string(hide_password=False)
    short = Database(url, lock_timeout=0.2)
    with transaction() as session:
        session.add(Mark(what="one"))
    with transaction() as holder:
        holder.execute(update(Mark).values(what="other"))
        with pytest.raises(OperationalError) as raised, short.transaction() as session:
            session.execute(update(Mark).values(what="ours"))
    short.close()

    assert is_transient(raised.value)
