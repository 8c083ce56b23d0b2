"""The shop's settings: what is accepted, and how anything else is refused."""

from datetime import UTC, datetime

import pytest

from events.environment import InvalidSettings, read, require_valid
from tasks.mail_settings import mailbox
from tasks.mail_texts import new_message
from tasks.settings import Settings, settings
from tests.tasks.mailserver import parsed

NOW = datetime(2026, 5, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPS_AUTH", "ops"),
        ("OPS_AUTH", "ops:"),
        ("OPS_AUTH", ":sesame"),
        ("OPS_AUTH", ":"),
        ("OPS_AUTH", "ops: "),
        ("OPS_AUTH", " ops:sesame"),
        ("OPS_AUTH", "ops:sesame\n"),
        ("OPS_AUTH", "ops:open,sesame"),
        ("OPS_AUTH", "ops:grün"),
        ("OPS_AUTH", "öps:sesame"),
        ("OPS_AUTH", "ops:ses\tame"),
        ("FLOWER_BASIC_AUTH", "ada:correct horse,ops:"),
        ("FLOWER_BASIC_AUTH", "ada:grün"),
        ("SMTP_URL", "mail.example.org"),
        ("SMTP_URL", "mail.example.org:587"),
        ("SMTP_URL", "http://mail.example.org"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://mail..example.org"),
        ("SMTP_URL", "smtp://ada:s%C3%A9same@mail.example.org"),
        ("SMTP_URL", "smtp://mail.example.org:mail"),
        ("SMTP_URL", "smtp://ada:ses/ame@mail.example.org"),
        ("SMTP_URL", "smtp://ada:sesäme@mail.example.org"),
        ("SMTP_URL", "smtps://ada:ses%C3%A4me@mail.example.org"),
        ("SMTP_URL", "smtp://ada:sesame%00@mail.example.org"),
        ("SMTP_URL", "smtp://ada@mail.example.org"),
        ("SMTP_URL", "smtp://:sesame@mail.example.org"),
        ("SMTP_URL", "smtp://$SMTP_HOST:25"),
        ("SMTP_URL", "smtp://one.example.org,two.example.org"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "Shop <nobody>"),
        ("MAIL_FROM", "Shop"),
        ("MAIL_FROM", "a@example.org, b@example.org"),
        ("MAIL_FROM", "a@example.org\nBcc: b@example.org"),
        *(("MAIL_FROM", f"orders@{each}") for each in ("example.org Shop", "exam ple.org")),
        ("OPERATOR_EMAIL", "operator"),
        ("OPERATOR_EMAIL", "ops@example.org oncall"),
        ("TRUSTED_PROXIES", "one"),
        ("TRUSTED_PROXIES", "-1"),
        ("FLOWER_URL", "flower.example.org"),
        ("FLOWER_URL", "javascript:alert(1)"),
        ("FLOWER_URL", "http://flower.example.org/?page=1"),
        ("FLOWER_URL", "https://ops:sesame@flower.example.org"),
        ("FLOWER_URL", "http://${HOST}:5555"),
        ("FLOWER_URL", "http://flo wer:5555"),
        *(("PUBLIC_URL", f"https://{each}") for each in ("$HOST", "{host}", "*.example", "a,b")),
        ("PUBLIC_URL", "https:///shop"),
        ("PUBLIC_URL", "https:shop.example"),
        ("PUBLIC_URL", "https://shop.example:0"),
        ("ALERT_WEBHOOK_URL", "https://${HOST}/sesame"),
        ("FLOWER_PORT", "tcp://10.0.0.1:5555"),
        ("FLOWER_URL_PREFIX", "http://flower.example.org/"),
        ("FLOWER_URL_PREFIX", "my flower"),
        ("FLOWER_URL_PREFIX", "/"),
        *(("FLOWER_URL_PREFIX", each) for each in ("%zz", "$FOO", "a/../b", "a//b", "(flower)")),
        ("MAIL_DIR", "~/mail"),
        ("MAIL_DIR", "$HOME/mail"),
        ("MAIL_DIR", "/srv/${SHOP}/mail"),
        ("FLOWER_PORT", "http"),
        ("FLOWER_PORT", "70000"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_name_and_a_fix(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings) as raised:
        read(Settings)

    [wrong] = raised.value.wrong
    assert wrong.name == name
    assert wrong.fix
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize("prefix", ["flower", "/flower", "flower/", "/flower/"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:5555", "http://127.0.0.1:5555/flower/"])
def test_the_link_to_flower_has_its_prefix_once(
    url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FLOWER_URL", url)
    monkeypatch.setenv("FLOWER_URL_PREFIX", prefix)

    assert read(Settings).flower_link == "http://127.0.0.1:5555/flower"


@pytest.mark.parametrize(
    ("value", "sender"),
    [
        ("orders@example.org", "Tidings <orders@example.org>"),
        ("Shop <orders@example.org>", "Shop <orders@example.org>"),
        ('"Ada, Bob & Co." <orders@example.org>', '"Ada, Bob & Co." <orders@example.org>'),
        ("Žofie <orders@example.org>", "Žofie <orders@example.org>"),
        ("orders@bücher.example.org", "Tidings <orders@xn--bcher-kva.example.org>"),
    ],
)
def test_the_sender_of_mails_may_have_a_name(
    value: str, sender: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MAIL_FROM", value)
    settings.cache_clear()
    try:
        to = mailbox("ada@example.org")
        message = new_message("Hello", "You.", to=to, key="k", at=NOW)
    finally:
        settings.cache_clear()

    assert parsed(message.content)["From"] == sender
    assert message.sender == mailbox(sender).addr_spec


@pytest.mark.parametrize("name", ["", "_WRITE", "_READ"])
def test_a_broker_that_celery_would_prefer_is_refused_unless_it_is_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BROKER_URL", "redis://127.0.0.1:6379/1")
    monkeypatch.setenv(f"CELERY_BROKER{name}_URL", "redis://127.0.0.1:6379/1")
    require_valid()
    monkeypatch.setenv(f"CELERY_BROKER{name}_URL", "rediss://127.0.0.1/0?ssl_cert_reqs=none")

    with pytest.raises(InvalidSettings, match=f"CELERY_BROKER{name}_URL names another broker"):
        require_valid()
