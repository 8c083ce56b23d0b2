"""Create the circuit breakers, and the dependencies of subscriptions and deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = depends_on = None


def upgrade() -> None:
    """Create the table, and add two columns that may be empty: no row is rewritten."""
    op.create_table(
        "breakers",
        sa.Column("dependency", sa.String(length=50), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("window_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=False),
        sa.Column("failures", sa.Double(), nullable=False),
        sa.Column("answered", sa.Double(), nullable=False),
        sa.Column("failed_probes", sa.Integer(), nullable=False),
        sa.Column("next_probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe", sa.String(length=300), nullable=True),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_by", sa.String(length=200), nullable=True),
        sa.Column("changed_why", sa.Text(), nullable=True),
        sa.Column("replays", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.PrimaryKeyConstraint("dependency", name=op.f("pk_breakers")),
    )
    op.add_column("subscriptions", sa.Column("depends_on", sa.String(length=50), nullable=True))
    op.add_column("deliveries", sa.Column("dependency", sa.String(length=50), nullable=True))
