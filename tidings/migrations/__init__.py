"""The schema of the database: Alembic's migrations, configured here instead of in a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from events import Base, subscriptions
from events.admin import schema
from web import idempotency, rate_limit

TABLES_OF_OTHERS = (
    *schema.TABLES_OF_THE_BUS,
    idempotency.IdempotencyKey,
    rate_limit.RateLimitCount,
)  # the import adds it to the metadata


# Alembic then formats the draft as `make check` wants it.
_FORMAT = {
    "hooks": "ruff",
    "ruff.type": "module",
    "ruff.module": "ruff",
    "ruff.options": "format --quiet REVISION_SCRIPT_FILENAME",
}


def load_tables() -> None:
    """Import every module that defines tables, including services dropped into `tasks`."""
    subscriptions.discover("tasks", skip={"celery"})


def upgrade(connection: Connection) -> None:
    """Apply all pending migrations in the connection's transaction."""
    command.upgrade(_config(connection), "head")


def pending(connection: Connection) -> list[str]:
    """Return the revisions that are not applied to this database yet, the oldest first.

    Raises Alembic's `CommandError` or `RevisionError` if the database has an unknown revision.
    """
    script = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    return [each.revision for each in script.iterate_revisions("head", current)][::-1]


def differences(connection: Connection) -> Sequence[Any]:
    """Return the differences between the database and the tables in the code."""
    load_tables()
    found: Sequence[Any] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    return found


def draft(connection: Connection, message: str) -> list[Path]:
    """Write the migration from the database's schema to the tables in the code."""
    load_tables()
    config = _config(connection)
    for option, value in _FORMAT.items():
        config.set_section_option("post_write_hooks", option, value)
    number = f"{len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1:04}"
    made = command.revision(config, message, autogenerate=True, rev_id=number)
    return [Path(each.path) for each in (made if isinstance(made, list) else [made]) if each]


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
