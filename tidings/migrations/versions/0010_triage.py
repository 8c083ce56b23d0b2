"""Create the table of the triage of groups of dead letters."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table of the triage of groups of dead letters."""
    op.create_table(
        "group_triage",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_group_triage")),
        sa.UniqueConstraint(
            "subscription", "fingerprint", name=op.f("uq_group_triage_subscription_fingerprint")
        ),
    )
