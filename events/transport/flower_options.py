"""Flower: read-only unless FLOWER_READ_ONLY says otherwise, and in no frame of another page."""

from typing import Any

from flower.options import options
from flower.urls import settings
from tornado.web import OutputTransform

_NO_FRAMES = {"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'"}


class NoFrames(OutputTransform):
    """The headers that keep a page from being shown in a frame, where clicks can be captured."""

    def transform_first_chunk(
        self, status_code: int, headers: Any, chunk: bytes, finishing: bool
    ) -> tuple[int, Any, bytes]:
        """Add the headers to every response."""
        headers.update(_NO_FRAMES)
        return status_code, headers, chunk


def protect_flower() -> None:
    """Set the defaults of Flower, which reads its variables and arguments afterwards."""
    options.read_only = True
    settings["transforms"] = [NoFrames]
