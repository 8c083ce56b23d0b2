"""Create the tables of the alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = depends_on = None
# The former handler of dead letters cannot use the new table, so stop the workers of
# `dead_letters` before; no release has that handler.
contracts = ("alerts",)


def upgrade() -> None:
    """Create the tables. A database of an earlier development version has one of that name."""
    op.execute("DROP TABLE IF EXISTS alerts")
    op.create_table(
        "alerts",
        sa.Column("rule", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("cause", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("rule", "subject", "cause", name=op.f("pk_alerts")),
    )
    op.create_table(
        "alert_looks",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alert_looks")),
    )
    op.execute("DELETE FROM subscriptions WHERE name = 'dead_letters.alert'")
