"""Create the table of the canaries of fixes."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "fix_canaries",
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=300), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("replay_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "subscription", "fingerprint", "version", name=op.f("pk_fix_canaries")
        ),
    )
