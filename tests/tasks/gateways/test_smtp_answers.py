"""The classes of SMTP replies: refused for good, not now, unknown."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from events import Database, DeadLetter, NotNow, clock, transaction
from events.settings import settings as bus_settings
from events.testing import Bus
from tasks.gateways import sandbox_switch, smtp
from tasks.gateways.ports import GatewayBusy, GatewayDown, GatewayError, MailDeferred
from tasks.gateways.smtp import SmtpMailer
from tasks.mail_texts import compose
from tasks.settings import settings
from tests.tasks.builders import order_created, placed
from tests.tasks.gateways.scripted import EXTENSIONS, HANG_UP, LATE, SILENCE, scripted_server

ADDRESS = "ada@example.org"


@pytest.fixture
def short_limit(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set a time limit that a silent server reaches at once."""
    monkeypatch.setenv("TASK_SOFT_TIME_LIMIT", "0.1")
    bus_settings.cache_clear()
    yield
    bus_settings.cache_clear()


def send_one(email: str = ADDRESS) -> None:
    order = order_created().model_copy(update={"email": email})
    SmtpMailer().send(compose(order, order, key="e:email.x", at=clock.now()))


def error_with(answers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Exception:
    """Return the error of a mail to a server that answers so."""
    with scripted_server(answers) as url, monkeypatch.context() as patch:
        patch.setenv("SMTP_URL", url)
        settings.cache_clear()
        with pytest.raises(Exception, match=r".") as caught:
            send_one()
    settings.cache_clear()
    return caught.value


@pytest.mark.parametrize(
    ("answers", "kind", "text"),
    [
        ({"RCPT": "450 4.2.0 <ada@example.org> greylisted"}, MailDeferred, "now: 450 4.2.0"),
        ({"RCPT": "451 try again"}, MailDeferred, "the recipient now: 451"),
        ({"RCPT": "452 4.2.2 ada@example.org is full"}, MailDeferred, "now: 452 4.2.2"),
        ({"RCPT": "421 4.7.0 too many"}, GatewayBusy, "the recipient now: 421 4.7.0"),
        ({"RCPT": "550 5.1.1 no ada@example.org"}, DeadLetter, "refuses the recipient: 550 5.1.1"),
        ({"MAIL": "451 4.7.1 later"}, MailDeferred, "the sender (MAIL_FROM) now: 451 4.7.1"),
        ({"MAIL": "421 closing"}, GatewayBusy, "the sender (MAIL_FROM) now: 421"),
        ({"MAIL": "553 not yours"}, DeadLetter, "refuses the sender (MAIL_FROM): 553"),
        ({"DATA": "451 later"}, MailDeferred, "the mail now: 451"),
        ({"DATA": "554 no"}, DeadLetter, "refuses the mail: 554"),
        ({".": "421 4.3.2 closing"}, GatewayBusy, "the mail now: 421 4.3.2"),
        ({".": "554 5.7.1 spam from ada@example.org"}, DeadLetter, "refuses the mail: 554 5.7.1"),
        ({".": "554 5.7.9 not accepted for policy reasons"}, DeadLetter, "the mail: 554 5.7.9"),
        ({"RCPT": "550 5.7.13 not for this sender"}, DeadLetter, "the recipient: 550 5.7.13"),
        ({".": "299 what"}, GatewayError, "no valid reply to the mail: 299"),
        ({".": "nonsense"}, GatewayError, "no valid reply to the mail: -1"),
        ({".": f"250 {'x' * 9000}"}, GatewayError, "no valid reply to the mail"),
        ({"RCPT": f"250 {'x' * 9000}"}, GatewayError, "no valid reply to the mail"),
        ({"RCPT": "354 go on"}, GatewayError, "no valid reply to the recipient: 354"),
    ],
)
def test_a_reply_to_a_mail_belongs_to_a_class(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, str],
    kind: type[Exception],
    text: str,
) -> None:
    error = error_with(answers, monkeypatch)

    assert type(error) is kind
    assert text in str(error)
    assert "@example" not in str(error)
    assert isinstance(error, NotNow) is (kind in (GatewayBusy, MailDeferred))


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"greeting": "554 5.7.1 you are on a list"}, "SMTPConnectError 554 5.7.1"),
        ({"greeting": "421 too many connections"}, "SMTPConnectError 421"),
        ({"EHLO": "550 who", "HELO": "550 who"}, "SMTPHeloError 550"),
        ({"greeting": HANG_UP}, "unreachable: SMTPServerDisconnected"),
        ({"MAIL": "530 5.7.0 must issue a STARTTLS command first"}, "(SMTP_URL): 530 5.7.0"),
        ({"RCPT": "530 authentication required"}, "login or TLS (SMTP_URL): 530"),
        ({".": "535 5.7.8 expired"}, "(SMTP_URL): 535 5.7.8"),
        ({"MAIL": "523 5.7.10 encryption needed"}, "(SMTP_URL): 523 5.7.10"),
        ({"MAIL": "524 5.7.11 encryption needed"}, "(SMTP_URL): 524 5.7.11"),
        ({"RCPT": "525 5.7.13 account disabled"}, "(SMTP_URL): 525 5.7.13"),
        ({"MAIL": "554 5.7.8 invalid"}, "(SMTP_URL): 554 5.7.8"),
        ({"RCPT": "550 5.7.10 encryption needed"}, "(SMTP_URL): 550 5.7.10"),
        ({"DATA": "554 5.7.11 encryption needed"}, "(SMTP_URL): 554 5.7.11"),
        ({"MAIL": "550 5.7.57 client was not authenticated"}, "(SMTP_URL): 550 5.7.57"),
        ({"MAIL": HANG_UP}, "lost: SMTPServerDisconnected"),
        ({"RCPT": HANG_UP}, "lost: SMTPServerDisconnected"),
        ({".": HANG_UP}, "lost: SMTPServerDisconnected"),
    ],
)
def test_what_is_about_the_connection_and_not_about_the_mail_is_an_outage(
    database: Database, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], text: str
) -> None:
    error = error_with(answers, monkeypatch)

    assert isinstance(error, GatewayDown)
    assert text in str(error)


@pytest.mark.parametrize("extensions", EXTENSIONS.values(), ids=EXTENSIONS)
def test_a_server_that_does_not_confirm_a_text_in_time_may_have_taken_it(
    short_limit: None, monkeypatch: pytest.MonkeyPatch, extensions: dict[str, str]
) -> None:
    error = error_with(extensions | {".": SILENCE}, monkeypatch)

    assert type(error) is GatewayError
    assert re.search(r"did not say within \d+ s whether it took the mail$", str(error))


def test_a_text_may_be_confirmed_later_than_a_command(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "SOCKET_TIMEOUT", 2.0)
    seen = Counter[str]()
    with scripted_server({".": f"{LATE}250 examined"}, seen) as url:
        monkeypatch.setenv("SMTP_URL", url)
        settings.cache_clear()
        send_one()
    settings.cache_clear()

    assert seen["."] == 1


@pytest.mark.parametrize("step", ["greeting", "MAIL", "DATA"])
def test_a_server_that_is_silent_before_the_text_is_an_outage_by_a_time_out(
    database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(smtp, "SOCKET_TIMEOUT", 0.5)
    error = error_with({step: SILENCE}, monkeypatch)

    assert isinstance(error, GatewayDown)
    assert str(error).endswith(": TimeoutError")


def test_a_mail_that_is_never_confirmed_is_sent_ten_times_at_most(
    bus: Bus, short_limit: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.fail_fast = False
    seen = Counter[str]()
    with scripted_server({".": SILENCE}, seen) as url:
        monkeypatch.setenv("SMTP_URL", url)
        settings.cache_clear()
        placed("tok_declined")
        for _ in range(30):
            bus.advance(120)
    settings.cache_clear()

    mails = [row for row in bus.deliveries() if row.queue == "email"]
    assert [(row.state, row.attempts, row.not_now) for row in mails] == [("dead", 10, 0)] * 2
    assert seen["."] == 20


def test_a_login_that_is_refused_is_an_outage_that_names_the_code(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"EHLO": "250-here\r\n250 AUTH PLAIN", "AUTH": "535 5.7.8 wrong, ada"}
    with scripted_server(answers) as url:
        monkeypatch.setenv("SMTP_URL", url.replace("smtp://", "smtp://ada:secret@"))
        settings.cache_clear()
        with pytest.raises(GatewayDown, match=r"SMTPAuthenticationError 535 5\.7\.8$"):
            send_one()
    settings.cache_clear()


def test_an_address_that_the_server_cannot_write_is_refused_for_good(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_server({}) as url:
        monkeypatch.setenv("SMTP_URL", url)
        settings.cache_clear()
        with pytest.raises(DeadLetter, match="letters beyond ASCII"):
            send_one("zofie@exámple.org")
    settings.cache_clear()


@pytest.mark.parametrize(("code", "kind"), [(450, MailDeferred), (550, DeadLetter)])
def test_the_sandbox_rehearses_a_reply(
    database: Database, code: int, kind: type[Exception]
) -> None:
    with transaction() as session:
        sandbox_switch(session, "email", down=False, status=code)
    with pytest.raises(kind, match=f"the mail.*: {code}"):
        send_one()
