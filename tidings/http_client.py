"""The HTTP client of every command that asks a web server, Flower or RabbitMQ."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import httpx

from events import TidingsError


class BadVariable(TidingsError):
    """A variable of the environment names a proxy or a certificate that is none."""


def open_client(url: str, *, timeout: float, auth: tuple[str, str] | None = None) -> httpx.Client:
    """Return a client for the server at `url`; `timeout` is in seconds.

    Nothing that the environment names (HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE, .netrc) applies to an
    address of this machine alone. No connection is kept: a server that restarts closes its idle
    connections, and a POST must not fail for that. Raises `BadVariable`, and httpx's `InvalidURL`.
    """
    host, base_url = urlsplit(url).hostname or "", httpx.URL(url)
    try:
        return httpx.Client(
            base_url=base_url,
            timeout=timeout,
            auth=auth,
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=not (is_loopback(host) or _is_unspecified(host)),
        )
    except (ValueError, httpx.InvalidURL) as error:
        raise BadVariable(
            "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names no proxy, or NO_PROXY no host: "
            f"{error}; correct it, or unset it"
        ) from error
    except ImportError as error:
        raise BadVariable(
            "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names a proxy of SOCKS, which is not supported; "
            "name one of HTTP, or unset it"
        ) from error
    except OSError as error:
        raise BadVariable(
            f"SSL_CERT_FILE or SSL_CERT_DIR names no certificates: {error.strerror or error}; "
            "correct it, or unset it"
        ) from error


def is_loopback(host: str) -> bool:
    """Return true if `host` is reachable from this machine only."""
    address = _address(host)
    if address is None:
        name = host.casefold().removesuffix(".")
        return name in ("localhost", "localhost.localdomain", "ip6-localhost") or name.endswith(
            ".localhost"  # RFC 6761
        )
    return address.is_loopback


def _is_unspecified(host: str) -> bool:
    """Return true for an address such as 0.0.0.0, at which a client reaches its own machine."""
    address = _address(host)
    return address is not None and address.is_unspecified


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that `host` spells, as the system understands it: 127.1 is one too."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
