"""The hosts in addresses that settings give: one rule, whatever the address leads to."""

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, unquote, urlsplit

from events.errors import BadValue

ENCODE = (
    "percent-encode special characters of user and password "
    "(@ is %40, / is %2F, # is %23, % is %25)"
)
# Also the $ of a variable that nobody replaced. A name may have the full stops of IDNA.
_NOT_IN_NAME = re.compile(r"[^\w.\u3002\uff0e\uff61-]")


def check_host(host: str, fix: str) -> str:
    """Return a name, or an address of IPv4 or IPv6, perhaps with its zone. Raises `BadValue`."""
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise BadValue(f"names the host {host[:50]!r}, which is none", fix) from None
        return host
    if found := _NOT_IN_NAME.search(host):
        raise BadValue(f"has {found.group()!r} in the host", fix)
    try:
        host.encode("idna")  # as it is looked up
    except UnicodeError:
        raise BadValue("names a host with a part that is empty or too long", fix) from None
    return host


def check_encoding(text: str, fix: str) -> None:
    """Refuse a % that stands for itself: what it decodes to is no UTF-8. Raises `BadValue`."""
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise BadValue("has a % that encodes no text", f"{fix}; {ENCODE}") from None


def split_url(text: str, fix: str) -> SplitResult:
    """Return the parts of a URL whose host and port can be ones. Raises `BadValue`."""
    if "#" in text:  # a parser leaves out what follows, such as half of a password
        raise BadValue("has a # in it", f"{fix}; {ENCODE}")
    check_encoding(text, fix)
    try:
        parts = urlsplit(text)
        if parts.port == 0:
            raise ValueError
    except ValueError:  # its message may contain the password
        raise BadValue("cannot be read as a URL", f"{fix}; {ENCODE}") from None
    check_host(parts.hostname or "", f"{fix}; {ENCODE}")
    return parts
