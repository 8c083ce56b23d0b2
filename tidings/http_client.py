"""The HTTP client of every command that asks a web server, Flower or RabbitMQ."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx


def open_client(url: str, *, timeout: float, auth: tuple[str, str] | None = None) -> httpx.Client:
    """Return a client for the server at `url`; `timeout` is in seconds.

    A loopback address never goes through the proxy that the environment names. No connection is
    kept: a server that restarts closes its idle connections, and a POST must not fail for that.
    """
    return httpx.Client(
        base_url=url,
        timeout=timeout,
        auth=auth,
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=not is_loopback(urlsplit(url).hostname or ""),
    )


def is_loopback(host: str) -> bool:
    """Return true if `host` is reachable from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.casefold() in ("localhost", "localhost.localdomain", "ip6-localhost")
