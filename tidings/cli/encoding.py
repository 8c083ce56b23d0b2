"""Output in any locale: what the encoding lacks is escaped, and nothing is lost to an error.

So are control characters, because some of the text comes from strangers.
"""

import sys
from typing import Any

import click

from events.inputs import escaped_lines
from tidings.cli.streams import ESCAPED


def echo(text: str = "", **style: Any) -> None:
    """Print lines, in click's `style`; what is no text or not in the encoding is escaped."""
    click.secho(_encodable(escaped_lines(text)), **style)


def symbol(preferred: str, plain: str) -> str:
    """Return a symbol, or its plain form if the output's encoding lacks it."""
    return preferred if _encodable(preferred) == preferred else plain


def is_unicode() -> bool:
    """Tell whether the output can hold every character."""
    return _encoding().casefold().startswith("utf")


def _encodable(text: str) -> str:
    encoding = _encoding()
    return text.encode(encoding, ESCAPED).decode(encoding)


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"
