"""Create the tables of the replays."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables of the replays."""
    _replays()
    _replayed_deliveries()


def _replays() -> None:
    counts = ("total", "released", "open", "done", "failed", "skipped", "position")
    op.create_table(
        "replays",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.Column("exhausted", sa.Boolean(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=True),
        sa.Column("stop_above", sa.Double(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("died_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("stopped_because", sa.Text(), nullable=True),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
    )
    is_active = sa.text("state IN ('running', 'paused') OR open > 0")
    op.create_index(
        "ix_replays_active",
        "replays",
        ["id"],
        sqlite_where=is_active,
        postgresql_where=is_active,
    )


def _replayed_deliveries() -> None:
    op.create_table(
        "replayed_deliveries",
        sa.Column("replay_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.PrimaryKeyConstraint(
            "replay_id", "event_id", "subscription", name=op.f("pk_replayed_deliveries")
        ),
        sqlite_with_rowid=False,
    )
    unsettled = sa.text("outcome IS NULL")
    op.create_index(
        "ix_replayed_deliveries_unsettled",
        "replayed_deliveries",
        ["replay_id"],
        sqlite_where=unsettled,
        postgresql_where=unsettled,
    )
    op.create_index("ix_replayed_deliveries_event", "replayed_deliveries", ["event_id"])
