"""Secrets in files: NAME_FILE names the file with the value of NAME."""

import os
from pathlib import Path

import pytest

from events.environment import InvalidSettings, read, read_secret_files
from events.settings import Settings as BusSettings
from tasks.settings import Settings as ShopSettings

VALUES = {
    "DATABASE_URL": (BusSettings, "postgresql+psycopg://ada:sesame@db/shop"),
    "SENTRY_DSN": (BusSettings, "https://sesame@sentry.example/1"),
    "DATABASE_DIRECT_URL": (BusSettings, "postgresql+psycopg://ada:sesame@db/shop"),
    "BROKER_URL": (BusSettings, "amqp://ada:sesame@broker:5672/"),
    "SECRET_KEY": (ShopSettings, "sesame-sesame-sesame"),
    "OPS_AUTH": (ShopSettings, "ops:open sesame"),
    "SMTP_URL": (ShopSettings, "smtp://ada:sesame@mail.example.org"),
    "ALERT_WEBHOOK_SECRET": (ShopSettings, "whsec_" + "sesame00" * 4),
    "ALERT_WEBHOOK_URL": (ShopSettings, "https://hooks.example/sesame"),
    "FLOWER_BASIC_AUTH": (ShopSettings, "ops:open sesame,ada:sesame"),
}


@pytest.fixture(autouse=True)
def _signed_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the secret without which the address of the webhook is refused."""
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "whsec_" + "another0" * 4)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("name", VALUES)
def test_a_secret_is_read_from_its_file_without_the_line_break(
    name: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, value = VALUES[name]
    (tmp_path / "secret").write_bytes(f"{value}{end}".encode())
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))

    assert getattr(read(kind), name.lower()) == value


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "which is empty"),
        (b" \n", "which is empty"),
        (b"sesame\xff", "which is no text"),
        (b"sesame" * 10_000, "which is too long"),
        ("folder", "Not a regular file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name_without_its_content(
    name: str,
    content: bytes | str | None,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path if content == "folder" else tmp_path / "secret"
    if isinstance(content, bytes):
        path.write_bytes(content)
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{name}_FILE", str(path))

    with pytest.raises(InvalidSettings) as raised:
        read(VALUES[name][0])

    [wrong] = raised.value.wrong
    assert wrong.name == name
    assert f"{name}_FILE" in wrong.reason
    assert reason in wrong.reason
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize("rest", ["", "x" * 300, "/x"], ids=len)
def test_a_secret_that_was_put_in_place_of_the_path_is_not_shown(
    rest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ops:open sesame").write_text("")
    monkeypatch.setenv("OPS_AUTH_FILE", f"ops:open sesame{rest}")

    with pytest.raises(InvalidSettings, match="OPS_AUTH_FILE") as raised:
        read(ShopSettings)
    assert "sesame" not in str(raised.value)


def test_a_secret_that_is_given_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("ops:open sesame")
    monkeypatch.setenv("OPS_AUTH", "ops:another sesame")
    monkeypatch.setenv("OPS_AUTH_FILE", str(tmp_path / "secret"))

    with pytest.raises(InvalidSettings, match="OPS_AUTH is given by OPS_AUTH_FILE too") as raised:
        read(ShopSettings)
    assert "sesame" not in str(raised.value)


def test_wrong_content_is_named_together_with_all_other_wrong_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("sesame\n")
    monkeypatch.setenv("SMTP_URL_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("BROKER_URL_FILE", str(tmp_path / "missing"))
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.setenv("LEASE", "soon")

    with pytest.raises(InvalidSettings) as raised:
        read(ShopSettings)

    assert {each.name for each in raised.value.wrong} == {"SMTP_URL", "BROKER_URL", "LEASE"}


@pytest.mark.parametrize("content", ["\ufeffhunter2", '"hunter2"'])
def test_what_an_editor_puts_around_a_secret_is_refused_and_not_shown(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(content)
    monkeypatch.setenv("SECRET_KEY", "")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret"))

    with pytest.raises(InvalidSettings) as raised:
        read(ShopSettings)

    [wrong] = raised.value.wrong
    assert (wrong.name, "hunter2" in str(raised.value)) == ("SECRET_KEY", False)
    assert "quotes" in wrong.reason or "byte order mark" in wrong.reason


def test_a_path_with_a_tilde_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "")
    monkeypatch.setenv("SECRET_KEY_FILE", "~/hunter2")

    with pytest.raises(InvalidSettings, match="begins with ~") as raised:
        read(ShopSettings)

    assert "hunter2" not in str(raised.value)


def test_programs_that_read_the_environment_find_the_secrets_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("ops:open sesame\n")
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "")  # counts as unset, and is restored
    monkeypatch.setenv("FLOWER_BASIC_AUTH_FILE", str(tmp_path / "secret"))

    read_secret_files()

    assert os.environ["FLOWER_BASIC_AUTH"] == "ops:open sesame"
    assert "FLOWER_BASIC_AUTH_FILE" not in os.environ


def test_every_setting_that_holds_a_secret_can_be_a_file() -> None:
    secrets = {name.upper() for kind in (BusSettings, ShopSettings) for name in kind.secrets}

    assert secrets == set(VALUES)
