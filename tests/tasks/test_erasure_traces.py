"""Erasure outside of the orders: invalid messages, audit, stored answers, timeline and files."""

import base64
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, String, Table, select

from events import Base, Database, clock, publish, reading, scheduled, transaction
from events.admin import audit, invalid_messages
from events.admin import erasure as bus_erasure
from events.admin.erasure import digest
from events.catalog import OrderCreated
from events.database import database
from events.personal import ERASED, ERASED_EMAIL
from events.tables import LogEntry
from events.testing import Bus
from tasks import erasure, orders
from tasks.timeline import entries
from tests.tasks.builders import order_cancelled, stocked
from tests.tasks.grace import EMAIL, NAME, STREET, erase, everything, known, placed
from web import idempotency


def test_invalid_messages_about_the_customer_are_emptied_and_others_kept(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    _read_in_small_pages(monkeypatch)
    envelope = json.dumps({"body": base64.b64encode(f"from {NAME}".encode()).decode()}).encode()
    bodies = [
        f"to {EMAIL.upper()}".encode(),
        json.dumps({"street": STREET}).encode(),
        envelope,
        b"\xff\xfe",
        b"about somebody else",
    ]
    placed()
    with transaction() as session:
        for body in bodies:
            invalid_messages.keep(
                session, queue="payment", reason="unknown task", error="", headers="{}", body=body
            )
        invalid_messages.keep(
            session,
            queue="payment",
            reason="unknown task",
            error=f"{NAME}?",
            headers=f'{{"to": "{EMAIL}"}}',
            body=b"x",
        )

    assert erase(force=True)["invalid_messages"] == 4

    with reading() as session:
        rows = invalid_messages.listed(session)
    assert sorted(row.body for row in rows) == sorted([b"erased"] * 4 + bodies[3:])
    assert known() == []


def _read_in_small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page have more invalid messages than a slice."""
    monkeypatch.setattr(bus_erasure, "_PAGE", 2)
    monkeypatch.setitem(bus_erasure.erase.__kwdefaults__, "at_once", 1)


def test_an_event_that_waits_for_its_time_is_erased(bus: Bus) -> None:
    order = placed()
    with transaction() as session:
        later = order_cancelled(order.id).model_copy(update={"email": EMAIL})
        at = clock.now() + timedelta(hours=1)
        publish(session, later, subject="another", at=at, key="later")

    assert erase(force=True)["scheduled events"] == 1

    with reading() as session:
        [row] = scheduled.listed(session)
    assert (row.data["email"], row.data["reason"]) == (ERASED_EMAIL, ERASED)
    assert known() == []


def test_the_audit_knows_the_address_by_its_hash_only(bus: Bus) -> None:
    placed()
    bus.drain()
    erase(why=f"letter of {EMAIL}")

    with reading() as session:
        line = audit.listed(session)[0]
    assert (line.who, line.action, line.target, line.why) == (
        "ada",
        "erase",
        f"customer {digest(EMAIL.lower())}",
        "letter of erased",
    )


def test_the_answers_to_idempotency_keys_no_longer_open_the_order(bus: Bus) -> None:
    order = placed()
    bus.drain()
    answer = {"id": order.id, "status": "placed", "token": order.token}
    with transaction() as session:
        for key in ("k-0", "k-1"):
            idempotency.once(session, key, "order", lambda: answer, customer="")

    assert erase()["idempotency answers"] == 2

    assert order.token not in everything()
    with transaction() as session:
        again = idempotency.once(
            session, "k-0", "order", lambda: pytest.fail("it was placed twice"), customer=""
        )
    assert again.body == {"id": order.id, "status": "placed", "token": "erased"}


def test_the_timeline_keeps_its_lines_without_what_the_customer_wrote(bus: Bus) -> None:
    order = placed()
    with transaction() as session:
        orders.cancel(session, order.id, reason=f"I, {NAME}, moved", who=None)
    bus.drain()
    erase()

    with reading() as session:
        texts = [entry.text for entry in entries(session, order.id)]
    assert "Order cancelled: erased" in texts
    assert known() == []


def test_the_file_of_sqlite_holds_none_of_it_either(bus: Bus, tmp_path: Path) -> None:
    with transaction() as session:
        stocked(session, MUG=1000)
    for _ in range(5):
        for _ in range(4):
            placed()
        bus.drain()
    erase()

    chosen = database()
    raw = b"".join(
        path.read_bytes() for path in Path(chosen.url.database or "").parent.glob("tidings.sqlite*")
    ).lower()
    assert len(raw) > 50_000
    assert [
        mark
        for mark in (EMAIL, NAME, STREET)
        if mark.lower().encode() in raw or json.dumps(mark)[1:-1].lower().encode() in raw
    ] == []


def test_mails_that_cannot_be_read_do_no_harm(bus: Bus, mail_dir: Path) -> None:
    (mail_dir / "1.eml").write_bytes(b"To: a,,<\xff\r\n\r\nnothing")
    (mail_dir / "2.eml").write_bytes(f"To: =?utf-8?q?G?= <{EMAIL.upper()}>\r\n\r\nDear".encode())

    assert erase()["mail files"] == 1

    assert [path.name for path in mail_dir.iterdir()] == ["1.eml"]
    shutil.rmtree(mail_dir)
    assert erase()["mail files"] == 0


def test_a_table_without_an_eraser_is_named(database: Database) -> None:
    table = Table(
        "table_of_this_test",
        Base.metadata,
        Column("email", String(200), primary_key=True),
        Column("points", Integer),
    )
    try:
        table.create(database.writer)
        with transaction() as session:
            session.execute(table.insert().values(email=EMAIL.upper(), points=3))
        erase()

        assert erasure.remaining_columns(EMAIL) == ["table_of_this_test.email"]
        assert erasure.remaining_columns("ada@example.org") == []
    finally:
        Base.metadata.remove(table)


def test_an_event_that_this_code_does_not_know_loses_what_is_known_of_the_customer(
    bus: Bus,
) -> None:
    order = placed()
    bus.drain()
    with transaction() as session:
        row = session.scalars(select(LogEntry).where(LogEntry.subject == order.number)).first()
        assert row is not None
        row.type, row.data = (
            "order.gift_wrapped",
            {"order_id": order.id, "for": {"name": NAME, "mail": [EMAIL.upper()]}, "bows": 3},
        )

    erase()

    assert known() == []
    with reading() as session:
        [data] = session.scalars(select(LogEntry.data).where(LogEntry.type == "order.gift_wrapped"))
    assert data == {
        "order_id": order.id,
        "for": {"name": "erased", "mail": [ERASED_EMAIL]},
        "bows": 3,
    }


def test_an_event_about_nothing_in_particular_is_found_by_its_address(bus: Bus) -> None:
    with transaction() as session:
        publish(session, OrderCreated.model_validate(_bare()))

    erase(force=True)

    assert known() == []


def _bare() -> dict[str, Any]:
    order = placed()
    with reading() as session:
        [data] = session.scalars(select(LogEntry.data).where(LogEntry.subject == order.number))
    return dict(data)
