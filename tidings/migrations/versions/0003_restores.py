"""Create the table of the restores."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = depends_on = None


def upgrade() -> None:
    """Create the table of the restores."""
    op.create_table(
        "restores",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("log_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_key", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(length=200), nullable=True),
        sa.Column("settled_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("at", name=op.f("pk_restores")),
    )
