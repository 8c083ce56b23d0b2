"""The settings of the webhook: its address, its secret, and the networks of one's own.

An address inside the network is refused: who sets the address of a webhook must not reach what the
firewall protects. Allowed are global addresses, and those of the networks that are named.
"""

import base64
import binascii
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from events.errors import BadValue
from events.hosts import split_url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
PREFIX = "whsec_"
_URL_FIX = "write https://host/path, as the receiver gives it"
KEY_FIX = "set it to the receiver's secret, or to whsec_ and the output of: openssl rand -base64 32"
_NETWORKS_FIX = "write networks such as 10.1.0.0/16,192.168.7.20"
_MIN_SECRET, _MAX_SECRET = 24, 64  # bytes, as Standard Webhooks says
_GLOBAL = ip_network("2000::/3")
# Global by Python's list, or parts of 2000::/3, and yet no host of anybody's.
_SPECIAL = [
    ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20")
]
_NAT64 = ip_network("64:ff9b::/96")
_6TO4 = ip_network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)  # the third group of 32 bits
_LAST = 0xFFFFFFFF
_LOOPBACK = ip_address("127.0.0.1")


class AddressRefused(BadValue):
    """An address to which no webhook is sent."""

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"leads to {address}, which is inside a network",
            "give a public address, or name the network in ALERT_WEBHOOK_NETWORKS",
        )


def check_url(text: str) -> str:
    """Return the address of a webhook. Raises `BadValue`, which never shows it: it is a secret."""
    parts = split_url(text, _URL_FIX)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise BadValue("is no address with https://", _URL_FIX)
    if parts.username is not None or parts.fragment or not text.isprintable() or " " in text:
        raise BadValue("has a login, a fragment or a space in it", _URL_FIX)
    try:
        httpx.URL(text).raw_host.decode().encode("idna")  # as the name is resolved
    except (httpx.InvalidURL, UnicodeError):
        raise BadValue("cannot be read as a URL", _URL_FIX) from None
    return text


def check_secret(text: str) -> str:
    """Return one secret, or several with spaces between them. Raises `BadValue`."""
    for each in text.split():
        try:
            size = len(key_of(each))
        except (ValueError, binascii.Error):
            raise BadValue("is not whsec_ and base64", KEY_FIX) from None
        if not _MIN_SECRET <= size <= _MAX_SECRET:
            reason = f"has {size} bytes; it must have {_MIN_SECRET} to {_MAX_SECRET}"
            raise BadValue(reason, KEY_FIX)
    return text


def key_of(secret: str) -> bytes:
    """Return the key of a secret. Raises `ValueError`."""
    if not secret.startswith(PREFIX):
        raise ValueError
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def networks_of(text: str) -> list[Network]:
    """Return the networks that a text names. Raises `BadValue`."""
    found = []
    for each in filter(None, map(str.strip, text.split(","))):
        try:
            found.append(ip_network(each))
        except ValueError:
            raise BadValue(f"has {each[:50]!r}, which is no network", _NETWORKS_FIX) from None
    return found


def check_networks(text: str) -> str:
    """Return the text of some networks. Raises `BadValue`."""
    networks_of(text)
    return text


def check_target(url: str, networks: str) -> None:
    """Refuse an address of digits inside a network, and http to anything but one's own.

    What a name leads to is known when it is resolved. Raises `BadValue`.
    """
    parts, own = split_url(url, _URL_FIX), networks_of(networks)
    if parts.scheme == "http" and not own:
        fix = f"{_URL_FIX}; http is only for networks in ALERT_WEBHOOK_NETWORKS"
        raise BadValue("has no TLS", fix)
    host = httpx.URL(url).raw_host.decode().strip("[]").removesuffix(".")
    if not own and f".{host}".endswith(".localhost"):  # RFC 6761
        raise AddressRefused(_LOOPBACK)
    if address := _address_of(host):
        check_address(address, own, tls=parts.scheme == "https")


def _address_of(host: str) -> Address | None:
    """Return the address that a host is, also as 127.1 or 0x7f000001; `None` for a name."""
    try:
        return ip_address(host)
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host))
        except OSError:
            return None


def resolve(url: str, networks: str) -> list[str]:
    """Return the addresses of a webhook's host, which are all allowed.

    Raises `AddressRefused` if one is not, `BadValue`, and `OSError` if the name has none.
    """
    parts, own = httpx.URL(url), networks_of(networks)
    host, tls = parts.raw_host.decode(), parts.scheme == "https"
    found = socket.getaddrinfo(host.strip("[]"), parts.port or None, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    for each in addresses:
        check_address(ip_address(each), own, tls=tls)
    return addresses


def check_address(address: Address, own: Sequence[Network], *, tls: bool) -> None:
    """Refuse an address, unless it is global or in a network of one's own.

    Raises `AddressRefused`, and `BadValue` for a global one without TLS.
    """
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in each for each in own):
        return
    if not all(map(_is_global, (address, *_embedded(address)))):
        raise AddressRefused(address)
    if not tls:
        raise BadValue("has no TLS, and leads out of your networks", _URL_FIX)


def _is_global(address: Address) -> bool:
    if any(address in each for each in _SPECIAL) or address.is_multicast:
        return False
    if isinstance(address, IPv6Address):
        return address in _GLOBAL or address in _NAT64
    return address.is_global and not address.is_reserved


def _embedded(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses to which a gateway or a tunnel would lead an IPv6 address."""
    if isinstance(address, IPv4Address):
        return
    bits = int(address)
    if address in _NAT64 or (bits >> 32) & _LAST in _ISATAP:
        yield IPv4Address(bits & _LAST)
    if address in _6TO4:
        yield IPv4Address((bits >> 80) & _LAST)
