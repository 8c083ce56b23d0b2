"""Add the version of the application to the heartbeats."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add the column; it is empty for processes that tell no version."""
    op.add_column(
        "heartbeats", sa.Column("version", sa.String(length=100), server_default="", nullable=False)
    )
