"""The version of the application that a worker tells."""

from collections.abc import Iterator
from importlib import metadata

import pytest

import tasks.celery  # noqa: F401  registers the subscriptions of the shop
from events.app_version import app_version
from events.environment import InvalidSettings, read
from events.settings import Settings, settings


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_the_version_is_that_of_the_setting_or_of_the_installed_distribution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("APP_VERSION", raising=False)
    assert app_version() == metadata.version("tidings")

    monkeypatch.setenv("APP_VERSION", " 2026.11.3 ")
    settings.cache_clear()
    assert app_version() == "2026.11.3"


@pytest.mark.parametrize("value", ["1" * 101, "1.0\x1b[2J"])
def test_a_version_that_no_page_can_show_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_VERSION", value)

    with pytest.raises(InvalidSettings, match="APP_VERSION"):
        read(Settings)
