"""Index the dead letters in the order of the lists: by time of death and then by key.

On PostgreSQL the index of the times alone left all that died in one moment to be sorted. On a table
of many millions `docs/upgrading.md` has the statement that creates the index before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = depends_on = None

_DEAD = sa.text("state = 'dead'")


def upgrade() -> None:
    """Create the new index unless it is there, and drop the old one.

    The old one goes first: its lock is the stronger one, and a lock that is made stronger later
    may deadlock.
    """
    op.drop_index("ix_deliveries_dead", "deliveries")
    op.create_index(
        "ix_deliveries_deaths",
        "deliveries",
        ["died_at", "event_id", "subscription"],
        if_not_exists=True,
        sqlite_where=_DEAD,
        postgresql_where=_DEAD,
    )
