"""The tables of the bus in the database of an application without the shop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text

from events import Base, Database
from events.admin import schema
from events.admin.schema import OutdatedTables
from tests.servers import HANG
from tests.tree import ROOT

_ENV = """
from alembic import context
{imports}
from sqlalchemy import MetaData

class Model:
    metadata = MetaData()

connection = context.config.attributes["connection"]
{configure}
context.run_migrations()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    return Database(request.getfixturevalue("postgres_url"))


def test_the_missing_tables_are_created_once(empty: Database):
    assert {"events", "deliveries", "subscriptions"} <= set(schema.prepare(empty, []))
    assert schema.prepare(empty, []) == []

    if not empty.sqlite:
        with empty.reader.connect() as connection:
            options = text("SELECT reloptions FROM pg_class WHERE relname = 'deliveries'")
            assert "autovacuum_vacuum_scale_factor=0.02" in connection.scalar(options)
    empty.close()


def test_a_table_of_an_earlier_version_is_named_with_what_it_lacks_and_nothing_is_changed(
    empty: Database,
):
    with empty.transaction() as session:
        session.execute(text("CREATE TABLE attempts (id INTEGER)"))

    with pytest.raises(OutdatedTables, match="table attempts has no column error_type"):
        schema.prepare(empty, [])

    assert inspect(empty.reader).get_table_names() == ["attempts"]
    empty.close()


def test_an_application_with_alembic_makes_the_tables_in_its_own_migrations(tmp_path: Path):
    page = (ROOT / "examples/newsletter/README.md").read_text()
    block = page.partition("<!-- alembic -->\n```python\n")[2].partition("```")[0]
    imports, _, configure = block.partition("\n\n")
    (tmp_path / "migrations/versions").mkdir(parents=True)
    (tmp_path / "migrations/env.py").write_text(_ENV.format(imports=imports, configure=configure))
    template = ROOT / "tidings/migrations/script.py.mako"
    (tmp_path / "migrations/script.py.mako").write_bytes(template.read_bytes())
    database = Database(f"sqlite:///{tmp_path / 'own.sqlite'}")

    for _ in range(2):
        with database.writer.connect() as connection, connection.begin():
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(tmp_path / "migrations"))
            command.revision(config, "bus", autogenerate=True)
            command.upgrade(config, "head")

    assert schema.prepare(database, []) == []
    first, second = sorted((tmp_path / "migrations/versions").glob("*.py"), key=_changes)
    assert (_changes(first), _changes(second) > 5) == (0, True)
    assert set(inspect(database.reader).get_table_names()) >= Base.metadata.tables.keys()
    database.close()


def _changes(migration: Path) -> int:
    return migration.read_text().count("op.create_table(")


_APPS = {
    "none": "",
    "late": """
from events import Event, subscribe
class Late(Event, type="late.late", source="late"):
    pass
@subscribe(Late, queue="late")
def hear_late(event, session):
    pass
""",
}


@pytest.mark.parametrize(
    ("app", "what", "error"),
    [
        ("none", "migrate", "this app has no subscription"),
        pytest.param(
            *("late", "relay", "no task handles late.hear_late; call transport.install"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_app_without_tasks_for_its_subscriptions_is_told_so(
    app: str, what: str, error: str, tmp_path: Path
):
    (tmp_path / "application.py").write_text(
        "from celery import Celery\nfrom events import transport\n"
        "app = Celery('application')\ntransport.install(app, [])\n" + _APPS[app]
    )

    run = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "application", "bus", what],
        cwd=tmp_path,
        env=os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path / 'own.sqlite'}"},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )

    assert run.returncode == 2
    assert error in " ".join(run.stderr.split())
