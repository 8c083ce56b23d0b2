"""A customer is forgotten everywhere, and everything goes on without them."""

import base64
import importlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Text, cast, select

from events import Actor, Base, Context, Database, acting, audit, control, dead_letters, publish, reading, strays, transaction
from events.catalog import OrderCreated, OrderCreatedV1
from events.database import database
from events.erasure import digest
from events.personal import ERASED_EMAIL
from events.tables import Attempt, LogEntry
from events.testing import Bus
from tasks import erasure, orders
from tasks.erasure import StillOpen
from tasks.inventory import shelf
from tasks.orders import Order
from tasks.settings import settings
from tasks.timeline import entries
from tests.tasks import builders
from tests.tasks.builders import found, stocked, wish, wished
from tests.tasks.mailserver import MailServer

idempotency = importlib.import_module("web.idempotency")
EMAIL, NAME, STREET, CITY, POSTCODE = "grace.Hopper@navy.example", "Grace Brewster Hopper", "17 Würzburg Lane", "Arlingtown", "22201-X"
MARKS = (EMAIL, NAME, STREET, CITY, POSTCODE, "203.0.113.77", "Netscape/4.7")


def placed(token: str = "tok_ok", email: str = EMAIL, **quantities: int) -> Order:
    """Grace's order, as the web would place it."""
    wanted = wished(token, **quantities)
    wanted["customer"] = {"name": NAME, "email": email}
    wanted["shipping_address"] = {"line1": STREET, "line2": "", "city": CITY, "postcode": POSTCODE, "country": "US"}
    actor = Actor(tenant="shop-1", ip="203.0.113.77", agent="Netscape/4.7")
    with acting(Context(actor=actor)), transaction() as session:
        return orders.place(session, wish().model_validate(wanted))


def forget(email: str = EMAIL, *, force: bool = False, why: str = "she asked") -> dict[str, int]:
    return erasure.forget(email, who="ada", why=why, force=force)


def everything(*, but: str = "") -> str:
    """Every row of every table, as text in small letters; what JSON escapes is read."""
    chosen = database()
    metadata = MetaData()
    metadata.reflect(chosen.reader)
    texts: list[str] = []
    with reading() as session:
        for table in (each for each in metadata.sorted_tables if each.name != but):
            columns = [column if isinstance(column.type, LargeBinary) else cast(column, Text) for column in table.columns]
            texts += [_text(value) for row in session.execute(select(*columns)) for value in row]
    return "\n".join(texts).lower()


def _text(value: Any) -> str:
    text = bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else str(value)
    return f"{text}\n{text.encode('latin-1', 'replace').decode('unicode_escape', 'replace')}" if "\\u" in text else text


def known() -> list[str]:
    """What is still known of her."""
    text = everything()
    return [mark for mark in MARKS if mark.lower() in text]


@pytest.fixture
def mail_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The local mail sink's folder."""
    monkeypatch.setenv("MAIL_DIR", str(tmp_path / "mail"))
    settings.cache_clear()
    (tmp_path / "mail").mkdir()
    yield tmp_path / "mail"
    settings.cache_clear()


def test_nothing_that_tells_of_the_customer_is_left_and_everything_else_is(any_bus: Bus, mail_server: MailServer, mail_dir: Path) -> None:
    grace, ada = placed(MUG=2), builders.placed()
    any_bus.drain()
    cancelled = placed(LAMP=2, email=EMAIL.upper())
    any_bus.drain()
    for number, mail in enumerate(mail_server.mails):
        (mail_dir / f"{number}.eml").write_bytes(mail.as_bytes())
    mails, stock, events = len(mail_server.mails), _shelf(), len(any_bus.published)

    counts = forget(EMAIL.lower())

    assert known() == []
    assert counts["orders"] == 2
    assert counts["mail files"] == 6
    assert len(list(mail_dir.glob("*.eml"))) == mails - 6
    after = found(grace)
    assert (after.number, after.status, after.total, after.lines) == (grace.number, "shipped", grace.total, grace.lines)
    assert (found(cancelled).status, found(cancelled).email) == ("cancelled", ERASED_EMAIL)
    assert (found(ada).customer, found(ada).token, _shelf(), len(any_bus.published)) == ("Ada Example", ada.token, stock, events)
    [created] = [event for event in any_bus.published if isinstance(event, OrderCreated) and event.order_id == grace.id]
    assert created.total == grace.total
    assert created.shipping_address is not None
    assert created.shipping_address.country == "US"
    assert after.token != grace.token


def _shelf() -> dict[str, int]:
    with reading() as session:
        return shelf(session)


def test_a_second_time_nothing_is_changed(bus: Bus) -> None:
    placed()
    bus.drain()
    assert any(forget().values())
    before = everything(but="audit")

    assert not any(forget().values())
    assert everything(but="audit") == before


def test_failures_dead_letters_and_what_people_wrote_are_erased(any_bus: Bus, mail_server: MailServer) -> None:
    order = placed("tok_declined")
    mail_server.refuse_mails = f"550 no mail for {NAME} at {EMAIL}"
    any_bus.drain()
    with transaction() as session:
        [dead] = [row for row in any_bus.deliveries() if row.subscription == "email.confirm_receipt"]
        session.execute(dead.__table__.update().values(error=f"SMTPError: {NAME} <{EMAIL}>"))
        for attempt in session.scalars(select(Attempt)):
            attempt.message = attempt.traceback = f"no mail for {NAME}, {STREET}"
        audit.record(session, who="ada", action="replay", target=dead.id, why=f"{NAME} called")
        audit.record(session, who="ada", action="cancel", target=order.number, why=f"lives in {STREET} no more")
        audit.record(session, who="ada", action="pause", target="payment.refund", why=f"complaint of {EMAIL}")
        control.pause(session, "payment.refund", who="ada", why=f"complaint of {EMAIL.upper()}")
    assert known() != []

    forget()

    assert known() == []
    [kept] = [row for row in any_bus.deliveries() if row.subscription == "email.confirm_receipt"]
    assert (kept.state, kept.error) == ("dead", "erased")
    assert "TD" not in str(kept.fingerprint)


def test_a_dead_letter_that_is_replayed_afterwards_writes_to_nobody(bus: Bus, mail_server: MailServer) -> None:
    placed("tok_declined")
    mail_server.refuse_mails = "550 no"
    bus.drain()
    forget()
    mail_server.empty()

    with transaction() as session:
        dead_letters.replay(session, who="ada", everything=True)
    bus.advance(60)

    assert mail_server.mails == []
    assert {row.state for row in bus.deliveries()} == {"done"}


def test_strays_about_the_customer_are_emptied_and_others_kept(bus: Bus) -> None:
    envelope = json.dumps({"body": base64.b64encode(f"from {NAME}".encode()).decode()}).encode()
    bodies = [f"to {EMAIL.upper()}".encode(), json.dumps({"street": STREET}).encode(), envelope, b"\xff\xfe", b"about somebody else"]
    placed()
    with transaction() as session:
        for body in bodies:
            strays.keep(session, queue="payment", reason="unknown task", error="", headers="{}", body=body)
        strays.keep(session, queue="payment", reason="unknown task", error=f"{NAME}?", headers=f'{{"to": "{EMAIL}"}}', body=b"x")

    assert forget(force=True)["strays"] == 4

    with reading() as session:
        rows = strays.listed(session)
    assert sorted(row.body for row in rows) == sorted([b"erased"] * 4 + bodies[3:])
    assert known() == []


def test_an_order_of_the_first_version_can_still_be_read(any_bus: Bus) -> None:
    old = OrderCreatedV1(
        order_id="o-1", number="ORD-1", customer=NAME, email=EMAIL, lines=placed().lines, total="25.00", payment_token="tok_declined"
    )
    any_bus.publish(old, subject="ORD-1")
    any_bus.drain()

    forget(force=True)

    assert known() == []
    [event] = [event for event in any_bus.published if isinstance(event, OrderCreated) and event.order_id == "o-1"]
    assert (event.customer, event.email, event.total.amount, event.total.currency) == ("erased", ERASED_EMAIL, 2500, "USD")


def test_an_event_that_this_code_does_not_know_loses_what_is_known_of_the_customer(bus: Bus) -> None:
    order = placed()
    bus.drain()
    with transaction() as session:
        row = session.scalars(select(LogEntry).where(LogEntry.subject == order.number)).first()
        assert row is not None
        row.type, row.data = "order.gift_wrapped", {"order_id": order.id, "for": {"name": NAME, "mail": [EMAIL.upper()]}, "bows": 3}

    forget()

    assert known() == []
    with reading() as session:
        [data] = session.scalars(select(LogEntry.data).where(LogEntry.type == "order.gift_wrapped"))
    assert data == {"order_id": order.id, "for": {"name": "erased", "mail": [ERASED_EMAIL]}, "bows": 3}


def test_who_is_only_mentioned_in_anothers_order_is_erased_there_and_the_other_is_not(any_bus: Bus) -> None:
    placed()
    any_bus.drain()
    other = builders.placed()
    with transaction() as session:
        orders.cancel(session, other.id, reason=f"the same as {EMAIL.lower()}", who="ada")
    any_bus.drain()

    forget()

    text = everything()
    assert EMAIL.lower() not in text
    assert found(other).email == "ada@example.org"
    assert "the same as erased" in text


def test_an_order_that_has_not_ended_is_refused_by_its_number(bus: Bus) -> None:
    order = placed("tok_broken")
    bus.drain()
    before = everything()

    with pytest.raises(StillOpen, match=f"{order.number} of this customer has not ended; .* --force"):
        forget()

    assert everything() == before


def test_with_force_an_order_goes_on_without_a_name_and_pays_and_sends_nothing(bus: Bus, mail_server: MailServer) -> None:
    order = placed("tok_ok")
    with transaction() as session:
        control.pause(session, "shipping.dispatch_shipment", who="ada", why="test")
    bus.drain()
    unpaid = placed("tok_ok")
    mail_server.empty()

    forget(force=True)
    with transaction() as session:
        control.resume(session, "shipping.dispatch_shipment", who="ada")
    bus.advance(60)

    assert known() == []
    assert (found(unpaid).status, found(unpaid).reason) == ("cancelled", "payment failed: the card is unknown")
    assert found(order).status == "confirmed"
    [dead] = [row for row in bus.deliveries() if row.state == "dead"]
    assert "its customer was erased; cancel it" in str(dead.error)
    assert mail_server.mails == []


def test_the_audit_knows_the_address_by_its_hash_only(bus: Bus) -> None:
    placed()
    bus.drain()
    forget(why=f"letter of {EMAIL}")

    with reading() as session:
        line = audit.listed(session)[0]
    assert (line.who, line.action, line.target, line.why) == ("ada", "erase", f"customer {digest(EMAIL.lower())}", "letter of erased")


def test_the_answers_to_idempotency_keys_no_longer_open_the_order(bus: Bus) -> None:
    order = placed()
    bus.drain()
    page = f"/orders/{order.id}?token={order.token}"
    answers = [{"id": order.id, "token": order.token, "links": {"page": page, "self": "/x"}}, {"id": order.id, "token": order.token}]
    with transaction() as session:
        for number, answer in enumerate(answers):
            idempotency.once(session, f"k-{number}", "order", lambda answer=answer: answer)

    assert forget()["idempotency answers"] == 2

    assert order.token not in everything()
    with transaction() as session:
        again = idempotency.once(session, "k-0", "order", lambda: pytest.fail("it was placed twice"))
    assert again.body == {"id": order.id, "token": "erased", "links": {"page": f"/orders/{order.id}", "self": "/x"}}


def test_the_timeline_keeps_its_lines_without_what_the_customer_wrote(bus: Bus) -> None:
    order = placed()
    with transaction() as session:
        orders.cancel(session, order.id, reason=f"I, {NAME}, moved", who="customer")
    bus.drain()
    forget()

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
    forget()

    chosen = database()
    raw = b"".join(path.read_bytes() for path in Path(chosen.url.database or "").parent.glob("tidings.sqlite*")).lower()
    assert len(raw) > 50_000
    assert [mark for mark in (EMAIL, NAME, STREET) if mark.lower().encode() in raw or json.dumps(mark)[1:-1].lower().encode() in raw] == []


def test_mails_that_cannot_be_read_do_no_harm(bus: Bus, mail_dir: Path) -> None:
    (mail_dir / "1.eml").write_bytes(b"To: a,,<\xff\r\n\r\nnothing")
    (mail_dir / "2.eml").write_bytes(f"To: =?utf-8?q?G?= <{EMAIL.upper()}>\r\n\r\nDear".encode())

    assert forget()["mail files"] == 1

    assert [path.name for path in mail_dir.iterdir()] == ["1.eml"]
    shutil.rmtree(mail_dir)
    assert forget()["mail files"] == 0


def test_a_table_that_nobody_said_how_to_forget_is_named(database: Database) -> None:
    table = Table("points", Base.metadata, Column("email", String(200), primary_key=True), Column("points", Integer))
    try:
        table.create(database.writer)
        with transaction() as session:
            session.execute(table.insert().values(email=EMAIL.upper(), points=3))
        forget()

        assert erasure.remains(EMAIL) == ["points.email"]
        assert erasure.remains("ada@example.org") == []
    finally:
        Base.metadata.remove(table)


def test_an_event_about_nothing_in_particular_is_found_by_its_address(bus: Bus) -> None:
    with transaction() as session:
        publish(session, OrderCreated.model_validate(_bare()))

    forget(force=True)

    assert known() == []


def _bare() -> dict[str, Any]:
    order = placed()
    with reading() as session:
        [data] = session.scalars(select(LogEntry.data).where(LogEntry.subject == order.number))
    return dict(data)
