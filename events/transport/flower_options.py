"""Flower: read-only unless FLOWER_READ_ONLY says otherwise, in no frame, with rows as sentences."""

from collections.abc import Callable
from typing import Any

from flower.options import options
from flower.urls import settings
from tornado.web import OutputTransform

from events.subscriptions import registered
from events.transport import flower_texts

_NO_FRAMES = {"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'"}


class NoFrames(OutputTransform):
    """The headers that keep a page from being shown in a frame, where clicks can be captured."""

    def transform_first_chunk(
        self, status_code: int, headers: Any, chunk: bytes, finishing: bool
    ) -> tuple[int, Any, bytes]:
        """Add the headers to every response."""
        headers.update(_NO_FRAMES)
        return status_code, headers, chunk


def describe_tasks(page: Callable[[str], str]) -> None:
    """Let Flower show deliveries as sentences, each with the address that `page` has for its id.

    A `flowerconfig.py` and the variables of Flower are read afterwards, and win.
    """
    options.format_task = flower_texts.formatter(lambda name: name in registered(), page)
    options.tasks_columns = flower_texts.COLUMNS


def protect_flower() -> None:
    """Set the defaults of Flower, which reads its variables and arguments afterwards."""
    options.read_only = True
    # Our workers announce their tasks from the start. Flower asks every worker for that again and
    # again, every five seconds, and each would wake for it.
    options.enable_events = False
    settings["transforms"] = [NoFrames]
