"""The gateways: whether cards are charged and parcels sent, or the sandbox only says so."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from tidings.doctor.findings import Finding, notice, ok
from tidings.http_client import is_loopback

_FIX = "return your provider's gateways in tasks/gateways/__init__.py"


def check(pretended: Sequence[str], smtp_url: str) -> Iterator[Finding]:
    """Examine what is only `pretended`; that is worth a notice if mails leave this machine."""
    if not pretended:
        yield ok("gateways", "no gateway is the sandbox's")
        return
    message = f"the built-in sandbox is used: {', '.join(pretended)}"
    if is_loopback(urlsplit(smtp_url).hostname or ""):
        yield ok("gateways", message)
    else:
        yield notice("gateways", f"{message}, but customers get mails about it", _FIX)
