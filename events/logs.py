"""Logging: console lines on a terminal, JSON elsewhere, for libraries' loggers too."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

from events.inputs import escaped_lines
from events.settings import settings


def configure(service: str) -> None:
    """Set up this process's logging by `LOG_LEVEL` and `LOG_FORMAT` (auto, console, json)."""
    chosen = settings()
    console = chosen.log_format == "console" or (
        chosen.log_format == "auto" and sys.stderr.isatty()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if not console:
        shared.append(lambda _, __, line: {**line, "service": service})
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(shared, console=console))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(chosen.log_level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def log_through_logging() -> None:
    """Send the lines of the bus to Python's logging, unless this process configured structlog."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _formatter(shared: list[Any], *, console: bool) -> logging.Formatter:
    renderers = (
        [_escape, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if console
        else [structlog.processors.JSONRenderer()]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def _escape(_: Any, __: str, line: EventDict) -> EventDict:
    """Escape what strangers wrote, such as a path, before a terminal obeys it."""
    return {
        name: escaped_lines(value) if isinstance(value, str) else value
        for name, value in line.items()
    }
