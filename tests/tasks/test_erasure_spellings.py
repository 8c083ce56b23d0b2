"""A person is found by whatever form of the address is typed, wherever it is stored."""

import base64
import json
import unicodedata
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from events import Database, clock, publish, reading, scheduled, transaction
from events.admin import audit, invalid_messages, subscriptions
from events.admin.erasure import digest
from events.catalog import OrderCreated
from events.personal import ERASED_EMAIL
from events.tables import InvalidMessageRow, LogEntry
from events.testing import Bus
from tasks import checkout, erasure
from tests.tasks.builders import order_cancelled, order_created
from tests.tasks.grace import NAME, erase, everything, placed
from tests.worlds import Worlds

STORED = "Grace@xn--mnchen-3ya.example"
READABLE = "grace@münchen.example"
TYPED = [
    STORED,
    READABLE,
    READABLE.upper(),
    f" {READABLE}\u00a0",
    unicodedata.normalize("NFD", READABLE),
    f"Grace Hopper <{READABLE}>",
    f"mailto:{READABLE}",
    f"{READABLE}.",
    "\uff47\uff52\uff41\uff43\uff45\uff20münchen.example",
    "GRACE@XN--MNCHEN-3YA.EXAMPLE",
]


@pytest.mark.parametrize("typed", TYPED)
def test_a_customer_is_erased_by_any_spelling(
    bus: Bus, database: Database, worlds: Worlds, typed: str
) -> None:
    def shipped() -> str:
        order = placed(email="Grace@MÜNCHEN.example")
        bus.drain()
        return order.email

    assert worlds.enter("an order of Grace", database, shipped) == STORED

    counts = erase(typed)

    assert counts["orders"] == 1
    text = everything()
    assert not [each for each in (STORED, READABLE, NAME) if each.lower() in text]
    with reading() as session:
        assert audit.listed(session)[0].target == f"customer {digest(READABLE)}"
    assert erasure.remaining_columns(typed) == []


WRITTEN = [READABLE, READABLE.upper(), STORED.upper(), unicodedata.normalize("NFD", READABLE)]


def written_everywhere(number: int, address: str) -> None:
    """Write an address that no door of ours has seen into an event, an order and free texts."""
    event = order_created(f"o-{number}", MUG=1)
    event = event.model_copy(update={"email": address, "customer": NAME})
    row = {"queue": "payment", "reason": "test", "error": f"{address}?", "headers": "{}"}
    with transaction() as session:
        publish(session, OrderCreated.model_validate(event.model_dump()), subject="ORD-Grace")
        checkout.open_checkout([event], session)
        subscriptions.pause(session, "payment.refund", who="ada", why=f"complaint of {address}")
        subscriptions.resume(session, "payment.refund", who="ada", why=f"answer to {address}")
        invalid_messages.keep(session, **row, body=json.dumps({"to": address}).encode())
        invalid_messages.keep(session, **row | {"error": ""}, body=f"to {address}".encode())


@pytest.mark.parametrize("typed", [READABLE, STORED])
def test_an_address_that_another_publisher_wrote_is_found(any_bus: Bus, typed: str) -> None:
    """Events and free texts are not bound by the rule of our doors."""
    for number, address in enumerate(WRITTEN):
        written_everywhere(number, address)

    counts = erase(typed, force=True)

    assert (counts["orders"], counts["events"], counts["invalid_messages"]) == (4, 4, 8)
    text = unicodedata.normalize("NFC", everything())
    assert not [each for each in (STORED, READABLE, NAME) if each.lower() in text]
    with reading() as session:
        entries = session.scalars(select(LogEntry).where(LogEntry.subject == "ORD-Grace")).all()
        assert [entry.data["email"] for entry in entries] == [ERASED_EMAIL] * 4
        assert {row.body for row in session.scalars(select(InvalidMessageRow))} == {b"erased"}


X = "x@example.co"
OTHERS = ["tom+x@example.co", "x@example.com", "x@example.co.uk", "max@example.co"]


@pytest.mark.parametrize(("email", "others"), [(X, OTHERS), ("x@straße.de", ["x@strasse.de"])])
def test_another_persons_address_is_left_alone_everywhere(
    any_bus: Bus, mail_dir: Path, email: str, others: list[str]
) -> None:
    """One that contains the other, or whose host is another when it is written in capitals."""
    for number, other in enumerate(others):
        written_everywhere(number, other)
        at = clock.now() + timedelta(hours=1)
        with transaction() as session:
            later = order_cancelled(f"o-{number}").model_copy(update={"email": other})
            publish(session, later, subject="another", at=at, key=f"later-{number}")
        (mail_dir / f"{number}.eml").write_bytes(f"To: {other}\n\nDear {other}".encode())
    before = everything(but="audit")

    assert not any(erase(email).values())

    assert everything(but="audit") == before
    assert len(list(mail_dir.iterdir())) == len(others)
    assert erasure.remaining_columns(email) == []


def test_who_is_mentioned_in_anothers_event_that_waits_is_erased_there_alone(bus: Bus) -> None:
    with transaction() as session:
        later = order_cancelled("o-1").model_copy(
            update={"email": OTHERS[0], "reason": f"as {X} and {OTHERS[1]} said"}
        )
        at = clock.now() + timedelta(hours=1)
        publish(session, later, subject="another", at=at, key="later")

    assert erase(X)["scheduled events"] == 1

    with reading() as session:
        [row] = scheduled.listed(session)
    assert (row.data["email"], row.data["reason"]) == (OTHERS[0], f"as erased and {OTHERS[1]} said")


def test_a_name_within_a_longer_word_is_anothers(bus: Bus) -> None:
    row = {"queue": "payment", "reason": "test", "error": "", "headers": "{}"}
    with transaction() as session:
        event = order_created("o-1", MUG=1).model_copy(update={"email": X, "customer": "Anna"})
        publish(session, OrderCreated.model_validate(event.model_dump()), subject="ORD-Anna")
        for body in (b"to Savannah", b"Annabel", b'{"name":"Anna"}', b"to\\nANNA!"):
            invalid_messages.keep(session, **row, body=body)

    assert erase(X, force=True)["invalid_messages"] == 2

    with reading() as session:
        bodies = [row.body for row in session.scalars(select(InvalidMessageRow))]
    assert sorted(bodies) == [b"Annabel", b"erased", b"erased", b"to Savannah"]


@pytest.mark.parametrize(
    "body",
    [
        rb'{"to":"ada\u002Bshop@example.org"}',
        rb'{"n":"Zo\u00EB \u0022Z\u0022 O\u0027Brien"}',
        rb'{"n":"Zo\u00eb \"Z\" O\u0027Brien"}',
        b"email=ada%2Bshop%40example.org",
        b"name=Zo%C3%AB+%22Z%22+O%27Brien",
        base64.b64encode(rb'{"to":"ada\u002Bshop@example.org"}'),
    ],
)
def test_an_invalid_message_of_another_encoder_is_erased(bus: Bus, body: bytes) -> None:
    """Encoders differ in what they escape: .NET escapes + and ', a browser what is in a form."""
    row = {"queue": "payment", "reason": "test", "headers": "{}"}
    others = [b"email=tom.ada%2Bshop%40example.org", rb"{'n':'Zo\u00EB Z. O\u0027Brien'}"]
    person = {"email": "ada+shop@example.org", "customer": 'Zoë "Z" O\'Brien'}
    with transaction() as session:
        event = order_created("o-1", MUG=1).model_copy(update=person)
        publish(session, OrderCreated.model_validate(event.model_dump()), subject="ORD-Ada")
        for each in (body, *others):
            invalid_messages.keep(session, **row, error="", body=each)
        error = "GET https://shop.example/?email=ada%2Bshop%40example.org"
        invalid_messages.keep(session, **row, error=error, body=b"")

    assert erase(person["email"], force=True)["invalid_messages"] == 2

    with reading() as session:
        left = sorted(session.scalars(select(InvalidMessageRow.body)))
    assert left == sorted([b"erased", b"erased", *others])


def test_an_address_in_a_url_of_a_free_text_is_erased(any_bus: Bus) -> None:
    url = "https://shop.example/?email={}%2Bshop%40example.org"
    with transaction() as session:
        subscriptions.pause(session, "payment.refund", who="ada", why=url.format("Grace"))
        subscriptions.resume(session, "payment.refund", who="ada", why=url.format("not.grace"))

    erase("grace+shop@example.org")

    with reading() as session:
        reasons = {row.why for row in audit.listed(session) if "resume" in row.action}
    assert "grace%2bshop" not in everything().replace("not.grace", "")
    assert reasons == {url.format("not.grace")}


def test_an_erasure_that_finds_nobody_is_not_audited(any_bus: Bus) -> None:
    assert not any(erase("nobody@example.org").values())

    with reading() as session:
        assert audit.listed(session) == []


def test_an_erasure_of_mail_files_alone_is_audited(bus: Bus, mail_dir: Path) -> None:
    (mail_dir / "1.eml").write_bytes(f"To: {READABLE.upper()}\n\nhello".encode())

    assert erase(STORED)["mail files"] == 1

    with reading() as session:
        assert [row.action for row in audit.listed(session)] == ["erase"]
