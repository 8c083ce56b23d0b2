"""W3C traceparents: those of others are checked, and new ones begin a trace.

https://www.w3.org/TR/trace-context/
"""

import re
import secrets

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


def checked(given: str | None) -> str | None:
    """Return a traceparent as it is, or `None` if it is none: its trace is then not continued."""
    return given if isinstance(given, str) and _TRACEPARENT.fullmatch(given) else None


def new() -> str:
    """Return a traceparent that begins a trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
