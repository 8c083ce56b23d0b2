"""The texts of the mails."""

import pytest

from events import clock
from events.catalog import Money
from tasks.mail_texts import compose, subject_and_body
from tests.tasks.builders import order_cancelled, order_created
from tests.tasks.mailserver import parsed


@pytest.mark.parametrize(
    "change",
    [
        {"email": "a@x.io, v@y.io"},
        {"email": "a@x.io\r\nBcc: v@y.io"},
        {"email": "a..b@x.io"},
        {"customer": "Ada\r\nBcc: v@y.io"},
    ],
)
def test_one_address_never_becomes_two_recipients(change: dict[str, str]) -> None:
    order = order_created().model_copy(update=change)
    with pytest.raises(ValueError, match=r".+"):
        compose(order, order, key="e:email.x", at=clock.now())


@pytest.mark.parametrize("email", ["ada+x.b_c-d@mail.x-y.io", '"a b"@x.io', "ada@[127.0.0.1]"])
def test_a_recipient_is_read_by_a_mail_client_as_it_was_written(email: str) -> None:
    for length in (1, 40, 50, 60, 70, 200):  # a header of one line, at its limit, and of several
        change = {"email": email, "customer": ("Ada " * length)[:length].strip()}
        order = order_created().model_copy(update=change)
        mail = compose(order, order, key="e:email.x", at=clock.now())

        [to] = parsed(mail.content)["To"].addresses
        assert (to.display_name, to.addr_spec) == (order.customer, email)
        assert mail.recipient == email
        assert max(map(len, mail.content.split("\r\n"))) <= 78


def test_an_event_without_a_mail_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="no mail about"):
        subject_and_body.dispatch(object)(order_created())


def test_a_mail_about_an_order_without_an_address_shows_none() -> None:
    old = order_created().model_copy(update={"shipping_address": None})
    mail = compose(order_cancelled(), old, key="e:email.x", at=clock.now())
    assert "To:" not in parsed(mail.content).get_content()


def test_a_mail_holds_nothing_that_a_terminal_obeys() -> None:
    nasty = order_created().model_copy(update={"customer": "Eve\x9b2J\u202e"})
    cancelled = order_cancelled().model_copy(update={"reason": "a\x9d0;b"})

    mail = compose(cancelled, nasty, key="e:email.x", at=clock.now())
    text = parsed(mail.content).get_content()

    assert not {"\x9b", "\x9d", "\u202e"} & {*text, *str(parsed(mail.content)["To"])}
    assert "Eve\\u009b2J\\u202e" in text


def test_an_address_without_a_postcode_is_written_without_a_gap() -> None:
    order = order_created()
    assert order.shipping_address is not None
    address = order.shipping_address.model_copy(update={"postcode": "", "country": "HK"})

    mail = compose(
        order,
        order.model_copy(update={"shipping_address": address}),
        key="e:email.x",
        at=clock.now(),
    )

    assert "To: 1 Test Street, Berlin, HK" in parsed(mail.content).get_content()


def test_a_mail_shows_amounts_with_the_digits_of_the_currency() -> None:
    order = order_created(MUG=1)
    total = Money(amount=12345, currency="MGA")
    [line] = order.lines
    changed = {"total": total, "lines": (line.model_copy(update={"price": total}),)}

    mail = compose(order, order.model_copy(update=changed), key="e:email.x", at=clock.now())

    assert parsed(mail.content).get_content().replace("\xa0", "").count("MGA123.45") == 2


@pytest.mark.parametrize(
    "customer",
    [
        "Ada",
        'Lovelace, Ada "the" <Countess>',
        "Žofie Nováková, MBA",
        "=?utf-8?q?Eve?=",
        "Ada " * 49,
        "Žofie " * 33,
        "x" * 200,
    ],
)
def test_names_arrive_as_they_are_in_lines_that_every_server_takes(customer: str) -> None:
    order = order_created().model_copy(update={"customer": customer, "number": f"N-{customer}"})
    mail = compose(order, order, key="e:email.x", at=clock.now())
    read = parsed(mail.content)

    # Python's parser keeps the spaces between encoded words, which RFC 2047 (6.2) takes out.
    [to] = read["To"].addresses
    assert to.display_name.replace(" ", "") == customer.replace(" ", "")
    assert to.addr_spec == mail.recipient == "ada@example.org"
    assert str(read["Subject"]).split() == f"Your order N-{customer} has arrived".split()
    assert max(map(len, mail.content.split("\r\n"))) < 300
    assert mail.content.isascii()


@pytest.mark.parametrize("number", ["1\r\nBcc: v@y.io", "1\x1cBcc: v@y.io", "1\nBcc: v@y.io"])
def test_a_number_never_becomes_a_header(number: str) -> None:
    order = order_created().model_copy(update={"number": number})
    read = parsed(compose(order, order, key="e:email.x", at=clock.now()).content)

    assert read["Bcc"] is None
    assert "Bcc" in str(read["Subject"])
