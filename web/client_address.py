"""The address of a client, from whatever a proxy writes, and the network that a limit counts by."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: all clients of IPv4, as a translator writes them

# A port may follow, as some proxies write it: 203.0.113.9:51234, [2001:db8::1]:51234.
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]*)?|([0-9.]+):[0-9]*")


def client_address(sent: str | None) -> str | None:
    """Return an address without port and zone, an IPv4 one as such; `None` if it is none."""
    address = _parsed(sent)
    return None if address is None else str(address)


def client_network(sent: str | None) -> str:
    """Return the network of a client: one that has a /64 of IPv6 has all of its addresses."""
    address = _parsed(sent)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return "unknown" if address is None else str(address)


def _parsed(sent: str | None) -> IPv4Address | IPv6Address | None:
    text = (sent or "").strip().strip('"')
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2] or ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return getattr(address, "ipv4_mapped", None) or address
