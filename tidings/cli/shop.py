"""A customer of the shop, over HTTP as any other."""

import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urljoin

from events import TidingsError

TIMEOUT = 10.0  # seconds for one answer
PATIENCE = 30.0  # seconds to wait for a shop that is away or asks to be left alone for a while


class ShopError(TidingsError):
    """The shop did not do what was asked."""


class Shop:
    """The HTTP interface of one shop."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ShopError(f"{url!r} is no address of a shop; write http://127.0.0.1:8000")
        self.url = url.rstrip("/")

    def products(self) -> list[dict[str, Any]]:
        """Everything on sale."""
        found: list[dict[str, Any]] = self._ask("/api/v1/products")["products"]
        return found

    def place(self, wish: dict[str, Any], key: str) -> dict[str, Any]:
        """Place an order. With the same `key` it is placed once, however often it is sent."""
        return self._ask(
            "/api/v1/orders",
            json.dumps(wish).encode(),
            {"Content-Type": "application/json", "Idempotency-Key": key},
        )

    def order(self, placed: dict[str, Any]) -> dict[str, Any]:
        """How far an order is."""
        return self._ask(
            f"/api/v1/orders/{placed['id']}", None, {"Authorization": f"Bearer {placed['token']}"}
        )

    def _ask(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                request = urllib.request.Request(urljoin(self.url, path), body, headers or {})  # noqa: S310 (checked above)
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                    found: dict[str, Any] = json.load(answer)
                    return found
            except urllib.error.HTTPError as error:
                wait = _wait(error)
                if wait is None or time.monotonic() + wait > deadline:
                    raise ShopError(
                        f"{self.url}{path} answers {error.code}: {_problem(error)}"
                    ) from error
                time.sleep(wait)
            except OSError as error:
                raise ShopError(
                    f"nothing answers at {self.url}; start it with `tidings up`, or name another --url ({error})"
                ) from error


def _wait(error: urllib.error.HTTPError) -> float | None:
    """Seconds after which the shop wants to be asked again, if it does."""
    if error.code not in (409, 429, 503):
        return None
    after = error.headers.get("Retry-After", "")
    return float(after) if after.isdecimal() else None


def _problem(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.load(error)
        told = [
            problem.get("detail") or problem.get("title") or "",
            *(f"{each['field']}: {each['message']}" for each in problem.get("errors", [])),
        ]
        return "; ".join(filter(None, told))
    except (ValueError, AttributeError, KeyError, TypeError):
        return error.reason
