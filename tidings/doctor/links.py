"""The links in mails: an address that customers can open."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from tidings.doctor.findings import Finding, notice, ok, or_ok
from tidings.http_client import is_loopback

_FIX = "set it to the address at which customers reach the shop, such as https://shop.example.com"


def check(public_url: str, smtp_url: str) -> Iterator[Finding]:
    """Examine `PUBLIC_URL`, if mails leave this machine."""
    if is_loopback(urlsplit(smtp_url).hostname or ""):
        yield ok("links", "mails stay on this machine")
        return
    yield from or_ok("links", _findings(public_url), f"mails link to {public_url}")


def _findings(public_url: str) -> Iterator[Finding]:
    parts = urlsplit(public_url)
    if not public_url:
        yield notice("links", "PUBLIC_URL is not set: mails have no link to the order", _FIX)
    elif is_loopback(parts.hostname or ""):
        message = f"mails link to {public_url}, which opens on this machine only"
        yield notice("links", message, _FIX)
    elif parts.scheme != "https":
        message = f"mails link to {public_url}: without TLS others can read the orders' tokens"
        yield notice("links", message, _FIX)
