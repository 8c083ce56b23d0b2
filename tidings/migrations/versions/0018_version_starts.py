"""Create the table of the moments from which workers had another version."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = depends_on = None


def upgrade() -> None:
    """Create the table of the moments from which workers had another version."""
    op.create_table(
        "version_starts",
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("queue", "at", name=op.f("pk_version_starts")),
    )
