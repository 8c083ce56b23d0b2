"""Chain the lines of the audit by hashes, and find an order's idempotency key by an index."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from events.admin.audit_chain import GENESIS, line_hash, texts_digest
from events.orm import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AT_ONCE = 1000
_CUSTOMER = "customer"
_AUDIT = sa.table(
    "audit",
    sa.column("id", sa.BigInteger()),
    sa.column("at", UTCDateTime()),
    *(sa.column(name, sa.String()) for name in ("role", "who", "action", "target", "why")),
    sa.column("parameters", sa.JSON()),
    sa.column("part_of", sa.BigInteger()),
    sa.column("count", sa.BigInteger()),
    sa.column("ends", sa.Boolean()),
    *(sa.column(name, sa.String()) for name in ("salt", "digest", "hash")),
)


def upgrade() -> None:
    """Chain the lines of the audit by hashes, and find an order's idempotency key by an index."""
    for column in _columns():
        op.add_column("audit", column)
    op.create_index("ix_audit_role", "audit", ["role", "id"])
    op.create_index(op.f("ix_audit_part_of"), "audit", ["part_of"])
    head = op.create_table(
        "audit_head",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_head")),
    )
    last, last_hash = _chain(op.get_bind())
    op.bulk_insert(head, [{"name": "audit", "last": last, "hash": last_hash}])
    # Without a value where the column is new: such keys expire within a day.
    op.add_column("idempotency_keys", sa.Column("order_id", sa.String(length=64)))
    op.create_index(op.f("ix_idempotency_keys_order_id"), "idempotency_keys", ["order_id"])


def _columns() -> list[sa.Column[Any]]:
    def text(name: str, length: int, default: str = "") -> sa.Column[Any]:
        kind = sa.String(length=length)
        return sa.Column(name, kind, server_default=default, nullable=False)

    return [
        text("role", 10, "operator"),
        sa.Column("parameters", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("part_of", sa.BigInteger()),
        sa.Column("count", sa.BigInteger()),
        sa.Column("ends", sa.Boolean(), server_default=sa.true(), nullable=False),
        text("salt", 32),
        text("digest", 64),
        text("hash", 64),
    ]


def _chain(connection: sa.Connection) -> tuple[int, str]:
    """Number and chain the lines that are there; return the last id and hash."""
    connection.execute(sa.update(_AUDIT).where(_AUDIT.c.who == _CUSTOMER).values(role=_CUSTOMER))
    number, previous, after = 0, GENESIS, 0
    while True:
        page = sa.select(_AUDIT).where(_AUDIT.c.id > after).order_by(_AUDIT.c.id).limit(_AT_ONCE)
        rows = connection.execute(page).mappings().all()
        if not rows:
            return number, previous
        after = rows[-1]["id"]
        changes = []
        for row in map(dict, rows):
            number += 1
            line = row | {"id": number, "digest": texts_digest("", row)}
            previous = line_hash(previous, line)
            digest = {"number": number, "new_digest": line["digest"], "new_hash": previous}
            changes.append(digest | {"old": row["id"]})
        chained = sa.update(_AUDIT).where(_AUDIT.c.id == sa.bindparam("old"))
        values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in ("digest", "hash")}
        connection.execute(chained.values(id=sa.bindparam("number"), **values), changes)
