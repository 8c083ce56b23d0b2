"""How Alembic runs our migrations: on the connection it is given, inside that one's transaction, in batches on SQLite."""

from alembic import context

from events import Base
from tidings.migrations import render

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=render,
    transactional_ddl=True,  # on SQLite too: we send BEGIN ourselves
)
context.run_migrations()
