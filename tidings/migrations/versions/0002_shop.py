"""Create the tables of the shop and its sandbox."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables of the shop and its sandbox."""
    for create in (
        *(_charges, _idempotency_keys, _mails, _orders, _indexes_of_orders, _products),
        *(_rate_limits, _reservations, _sandbox_charges, _sandbox_parcels, _sandbox_switches),
        *(_shipments, _stock, _timeline, _sandbox_refunds, _stock_movements),
    ):
        create()


def _charges() -> None:
    op.create_table(
        "charges",
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("charge_id", sa.String(length=100), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_charges")),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("body", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])


def _mails() -> None:
    op.create_table(
        "mails",
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("message_id", sa.String(length=400), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "kind", name=op.f("pk_mails")),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("stock", sa.String(length=10), nullable=False),
        sa.Column("payment", sa.String(length=10), nullable=False),
        sa.Column("shipment", sa.String(length=10), nullable=False),
        sa.Column("customer", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("address", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("lines", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("total_amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_orders")),
        sa.UniqueConstraint("id", name=op.f("uq_orders_id")),
        sa.UniqueConstraint("number", name=op.f("uq_orders_number")),
    )


def _indexes_of_orders() -> None:
    op.create_index(op.f("ix_orders_email"), "orders", ["email"])
    is_open = sa.text("status IN ('placed', 'confirmed')")
    op.create_index(
        "ix_orders_open",
        "orders",
        ["created_at"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _products() -> None:
    op.create_table(
        "products",
        sa.Column("sku", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("price_amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_products")),
    )


def _rate_limits() -> None:
    op.create_table(
        "rate_limits",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_rate_limits")),
    )


def _reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("lines", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_reservations")),
    )


def _sandbox_charges() -> None:
    op.create_table(
        "sandbox_charges",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("charge_id", sa.String(length=40), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sandbox_charges")),
        sa.UniqueConstraint("charge_id", name=op.f("uq_sandbox_charges_charge_id")),
    )


def _sandbox_parcels() -> None:
    op.create_table(
        "sandbox_parcels",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("tracking", sa.String(length=40), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recalled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sandbox_parcels")),
        sa.UniqueConstraint("tracking", name=op.f("uq_sandbox_parcels_tracking")),
    )


def _sandbox_switches() -> None:
    op.create_table(
        "sandbox_switches",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("down", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("retry_after", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sandbox_switches")),
    )


def _shipments() -> None:
    op.create_table(
        "shipments",
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("carrier", sa.String(length=100), nullable=True),
        sa.Column("tracking", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_shipments")),
    )


def _stock() -> None:
    op.create_table(
        "stock",
        sa.Column("sku", sa.String(length=32), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("available >= 0", name=op.f("ck_stock_never_negative")),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_stock")),
    )


def _timeline() -> None:
    op.create_table(
        "timeline",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("type", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_timeline")),
    )
    op.create_index("ix_timeline_order", "timeline", ["order_id", "at"])


def _sandbox_refunds() -> None:
    op.create_table(
        "sandbox_refunds",
        sa.Column("charge_id", sa.String(length=40), nullable=False),
        sa.Column("refund_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_id"],
            ["sandbox_charges.charge_id"],
            name=op.f("fk_sandbox_refunds_charge_id_sandbox_charges"),
        ),
        sa.PrimaryKeyConstraint("charge_id", name=op.f("pk_sandbox_refunds")),
    )


def _stock_movements() -> None:
    op.create_table(
        "stock_movements",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("sku", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["sku"], ["stock.sku"], name=op.f("fk_stock_movements_sku_stock")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_movements")),
    )
    op.create_index(op.f("ix_stock_movements_order_id"), "stock_movements", ["order_id"])
    op.create_index(op.f("ix_stock_movements_sku"), "stock_movements", ["sku"])
