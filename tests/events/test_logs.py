"""Log lines on a terminal."""

import logging

import pytest
import structlog

from events import logs
from events.settings import settings


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_line_holds_what_a_terminal_obeys(
    log_format: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setenv("LOG_FORMAT", log_format)
    settings.cache_clear()
    try:
        logs.configure("web")
        structlog.get_logger("shop").error("request.failed", path="/a\x9b2J\u202e\x1b[31m")
    finally:
        root.handlers[:], root.level = handlers, level
        settings.cache_clear()

    line = capsys.readouterr().err
    assert "request.failed" in line
    assert "\\u009b2J\\u202e\\u001b[31m" in line
    assert not {"\x9b", "\u202e", "\x1b"} & {*line}
