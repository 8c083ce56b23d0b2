"""Alembic's environment: migrations run on the given connection, inside its transaction."""

from alembic import context

from events import Base
from events.admin.schema import render_item

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter most of a table in place
    render_item=render_item,
    transactional_ddl=True,  # on SQLite too: BEGIN is sent explicitly
)
context.run_migrations()
