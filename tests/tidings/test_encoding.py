"""A database that cannot store every name is refused before anything is written."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, inspect, make_url, text

from events import Database
from tests.tidings.doctor.examined import problems
from tidings.doctor import database as database_part
from tidings.migrations.encoding import WrongEncoding
from tidings.migrations.run import migrate


@pytest.fixture(params=["LATIN1", "SQL_ASCII", "LATIN9"])
def encoded(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Database]:
    """An empty database with another encoding than UTF-8."""
    name = f"other_{request.param.lower()}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(
            text(f"CREATE DATABASE {name} ENCODING '{request.param}' LOCALE 'C' TEMPLATE template0")
        )
        database = Database(
            make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        )
        yield database
        database.close()
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def test_a_migration_refuses_it_and_changes_nothing(encoded: Database):
    with pytest.raises(WrongEncoding, match="CREATE DATABASE tidings ENCODING 'UTF8'"):
        migrate(encoded)

    assert inspect(encoded.reader).get_table_names() == []


def test_the_doctor_names_it(encoded: Database):
    found = problems(list(database_part.check(encoded)))

    assert [each for each in found if each.startswith("encoding: the database has ")]


def test_a_client_encoding_of_the_role_changes_nothing(postgres_url: str):
    name = make_url(postgres_url).database
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET client_encoding TO 'LATIN1'"))
    admin.dispose()
    database = Database(postgres_url)

    with database.transaction() as session:
        assert session.scalar(text("SELECT :name"), {"name": "Žofie"}) == "Žofie"
    database.close()
