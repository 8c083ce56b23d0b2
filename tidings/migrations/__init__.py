"""The database's schema: migrations that Alembic runs, configured here and not in a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, TypeDecorator

from events import Base, subscriptions
from web import idempotency

TABLES_OF_WEB = (idempotency.IdempotencyKey,)  # in the metadata by being imported


def load_tables() -> None:
    """Import every module that has tables, those included that somebody dropped into `tasks`."""
    subscriptions.discover("tasks", skip={"celery"})


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest migration, in the connection's transaction."""
    command.upgrade(_config(connection), "head")


def pending(connection: Connection) -> list[str]:
    """The migrations that this database has not seen, the first one first."""
    script = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    return [each.revision for each in script.iterate_revisions("head", current)][::-1]


def differences(connection: Connection) -> Sequence[Any]:
    """What the tables in the code have that the database has not, and the other way round."""
    load_tables()
    found: Sequence[Any] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    return found


def draft(connection: Connection, message: str) -> list[Path]:
    """Write the migration that leads from the database's schema to the tables in the code."""
    load_tables()
    config = _config(connection)
    number = f"{len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1:04}"
    made = command.revision(config, message, autogenerate=True, rev_id=number)
    return [Path(each.path) for each in (made if isinstance(made, list) else [made]) if each]


def render(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """Write a type of ours as the plain type it is stored as: a migration must not change when the code does."""
    return (
        f"sa.{item.impl_instance!r}"
        if kind == "type" and isinstance(item, TypeDecorator)
        else False
    )


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
