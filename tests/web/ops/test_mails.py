"""/ops/mails: the mails of the local sink."""

from datetime import UTC, datetime
from email.headerregistry import Address as Mailbox
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import tasks.settings as tasks_settings
from tasks.mail_texts import new_message
from tests.web.pages import OPS_HTML

LONG = "Ædä Wølfgang Lüdenscheidt " * 8 + "von und zu Hohenstein"
MAILS = {
    "good": (
        "From: shop@x.example\nTo: ada@example.org\nSubject: Your order <i>1</i>\n"
        "Content-Type: text/plain; charset=utf-8\n\nDear <b>Ada</b> × 2"
    ).encode(),
    "html": b"Subject: html only\nContent-Type: text/html\n\n<b>Ada</b>",
    "charset": b"Subject: odd\nContent-Type: text/plain; charset=nonsense\n\n\xff",
    "empty": b"",
    "header": b"From: =?utf-8?b?x?=\nSubject: =?utf-8?q?=ff?=\nTo: a,b,,<\n\nx",
    "bytes": b"To: Ad\xe9 <a@x.example>\nSubject: bytes\n\nx",
    "long": new_message(
        "long", "x", to=Mailbox(LONG, addr_spec="ada@x.example"), key="k", at=datetime.now(UTC)
    ).content.encode(),
}


def test_mails_of_the_local_sink_are_shown_as_text(
    client: FlaskClient, tmp_path: Path, environment: pytest.MonkeyPatch
):
    (tmp_path / "mail").mkdir()
    for name, raw in MAILS.items():
        (tmp_path / "mail" / f"{name}.eml").write_bytes(raw)
    environment.setenv("MAIL_DIR", str(tmp_path / "mail"))
    tasks_settings.settings.cache_clear()

    page = client.get("/ops/mails", headers=OPS_HTML).text

    assert "Your order &lt;i&gt;1&lt;/i&gt;" in page
    assert "Dear &lt;b&gt;Ada&lt;/b&gt; × 2" in page
    assert "(cannot be read: HeaderParseError)" in page
    assert "a,b,,&lt;" in page
    assert "Ad? &lt;a@x.example&gt;" in page
    assert f"{LONG} &lt;ada@x.example&gt;" in page
    assert "(no text)" in page
    assert "<b>Ada" not in page


def test_without_a_mail_sink_the_page_says_so(
    client: FlaskClient, tmp_path: Path, environment: pytest.MonkeyPatch
):
    environment.setenv("MAIL_DIR", str(tmp_path / "none"))
    tasks_settings.settings.cache_clear()

    assert "No local mail sink" in client.get("/ops/mails", headers=OPS_HTML).text
