"""Remember what was pruned, so that no backfill gives it out again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember what was pruned, so that no backfill gives it out again."""
    op.create_table(
        "prunings",
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("event_type", sa.String(length=200), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subscription", "event_type", name=op.f("pk_prunings")),
    )
