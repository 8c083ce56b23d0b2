"""The next version of the code: a copy of it with one more migration and one more subscription.

It stands for a version to come: the migration expands two hot tables, and the subscription, on a
queue that workers of the present version consume too, needs the column that it adds.
"""

import shutil
from pathlib import Path

from tests.tree import ROOT, revisions

PROGRAM = ("events", "tasks", "web", "tidings", "celeryconfig.py")
REVISION = "9999"
MIGRATION = f'''"""Add the channel of an order, the weight of a delivery, and the notes."""

import sqlalchemy as sa
from alembic import op

revision = "{REVISION}"
down_revision = "{revisions()[-1]}"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add what old code need not know."""
    channel = sa.Column("channel", sa.String(20), server_default="web", nullable=False)
    op.add_column("orders", channel)
    op.add_column("deliveries", sa.Column("weight", sa.Integer(), nullable=True))
    op.create_table(
        "channel_notes",
        sa.Column("order_id", sa.String(64), primary_key=True),
        sa.Column("channel", sa.String(20), nullable=False),
    )
'''
SERVICE = '''"""The notes of channels."""

from sqlalchemy import String, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, subscribe
from events.catalog import OrderConfirmed


class ChannelNote(Base):
    """The channel of a confirmed order."""

    __tablename__ = "channel_notes"

    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    channel: Mapped[str] = mapped_column(String(20))


@subscribe(OrderConfirmed, queue="email")
def note_channel(event: OrderConfirmed, session: Session) -> None:
    """Note the channel."""
    found = text("SELECT channel FROM orders WHERE id = :id")
    channel = session.scalar(found, {"id": event.order_id})
    session.add(ChannelNote(order_id=event.order_id, channel=channel))
'''


def write_next_version(folder: Path) -> None:
    """Write the code of the next version."""
    for name in PROGRAM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy2(ROOT / name, folder / name)
    write_migration(folder)
    (folder / "tasks/channels.py").write_text(SERVICE)


def write_migration(folder: Path) -> None:
    """Write the migration of the next version beside those of a copy of the code."""
    versions = folder / "tidings/migrations/versions"
    (versions / f"{REVISION}_channels.py").write_text(MIGRATION)
