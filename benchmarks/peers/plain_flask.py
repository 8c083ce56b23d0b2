"""A web application without Tidings: it saves the order, then sends five Celery tasks.

If the process dies between the commit and the last task, some of the five are never sent.
"""

import os
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from celery import Celery
from flask import Flask, Response, jsonify, request
from sqlalchemy import JSON, String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.effects import connect

TASKS = (
    "inventory.reserve_stock",
    "payment.charge_order",
    "shipping.prepare_shipment",
    "email.confirm_receipt",
    "orders.open_checkout",
)
PRICE = 1250


class Base(DeclarativeBase):
    """The tables of this application."""


class Order(Base):
    """The columns of Tidings' own orders, with its indexes."""

    __tablename__ = "orders"

    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    number: Mapped[str] = mapped_column(String(64), unique=True)
    token: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(10), default="placed", index=True)
    customer: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), index=True)
    address: Mapped[dict[str, Any]] = mapped_column(JSON)
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    total_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime]


def create_app() -> Flask:
    """Return the application, on the database and the broker of the environment."""
    engine = connect(os.environ["DATABASE_URL"])
    Base.metadata.create_all(engine)
    queue = Celery("plain", broker=os.environ["BROKER_URL"])
    app = Flask(__name__)

    @app.post("/api/v1/orders")
    def place_order() -> tuple[Response, int]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            order = _order(request.get_json())
            session.add(order)
        for task in TASKS:
            queue.send_task(task, (order.id,), queue=task.partition(".")[0])
        total = {"amount": order.total_amount, "currency": order.currency}
        answer = {"id": order.id, "number": order.number, "status": order.status}
        return jsonify(**answer, total=total, token=order.token), 202

    return app


def _order(command: dict[str, Any]) -> Order:
    order_id = str(uuid4())
    return Order(
        id=order_id,
        number=f"ORD-{order_id[:8]}",
        token=secrets.token_urlsafe(24),
        customer=command["customer"]["name"],
        email=command["customer"]["email"],
        address=command["shipping_address"],
        lines=command["items"],
        total_amount=sum(PRICE * item["quantity"] for item in command["items"]),
        currency="EUR",
        created_at=datetime.now(UTC),
    )
