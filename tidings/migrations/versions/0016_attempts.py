"""Add the id of the task message to each attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add a column without a value, which rewrites no row."""
    op.add_column("attempts", sa.Column("task_id", sa.String(length=300), nullable=True))
