"""The shop's HTTP API, as a customer uses it."""

import time
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field

from events import TidingsError
from tidings.http_client import open_client

SOCKET_TIMEOUT = 10.0  # seconds
RETRY_TIMEOUT = 30.0  # seconds to honour `Retry-After` for, in all
_RETRYABLE = (409, 429, 503)


class ShopError(TidingsError):
    """The shop cannot be reached, or refused a request."""


class _Price(BaseModel):
    currency: str


class _Product(BaseModel):
    sku: str
    available: int
    price: _Price


class _Products(BaseModel):
    products: Annotated[list[_Product], Field(min_length=1)]


class _Placed(BaseModel):
    id: str
    number: str
    token: str


class _State(BaseModel):
    status: str


class Shop:
    """A client of the API at one address."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            if not url.startswith(("http://", "https://")):
                raise httpx.InvalidURL("no scheme")
            self._client = open_client(self.url, timeout=SOCKET_TIMEOUT)
        except (httpx.InvalidURL, ValueError) as error:
            raise ShopError(
                f"{url!r} is not the address of a shop; write http://127.0.0.1:8000"
            ) from error

    def products(self) -> list[dict[str, Any]]:
        """Return all products with their prices and stock."""
        found: list[dict[str, Any]] = self._request(_Products, "GET", "/api/v1/products")[
            "products"
        ]
        return found

    def place(self, body: dict[str, Any], key: str) -> dict[str, Any]:
        """Place an order, once however often it is sent with the same `key`."""
        return self._request(_Placed, "POST", "/api/v1/orders", body, {"Idempotency-Key": key})

    def order(self, placed: dict[str, Any]) -> dict[str, Any]:
        """Return the present state of an order; `placed` is the response to `place`."""
        authorization = {"Authorization": f"Bearer {placed['token']}"}
        return self._request(_State, "GET", f"/api/v1/orders/{placed['id']}", None, authorization)

    def _request(
        self,
        kind: type[BaseModel],
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the response, which has the fields of its `kind`."""
        deadline = time.monotonic() + RETRY_TIMEOUT
        while True:
            try:
                response = self._client.request(method, path, json=body, headers=headers)
            except (httpx.HTTPError, ValueError) as error:  # a host that has no ASCII form
                raise ShopError(
                    f"no answer from {self.url}: {error}; "
                    "start the shop with `tidings up`, or name another --url"
                ) from error
            if response.is_success:
                return _body(response, kind)
            wait = _retry_after(response)
            if wait is None or time.monotonic() + wait > deadline:
                raise ShopError(
                    f"{self.url}{path} answered {response.status_code}: {_problem(response)}"
                )
            time.sleep(wait)


def _body(response: httpx.Response, kind: type[BaseModel]) -> dict[str, Any]:
    try:
        kind.model_validate_json(response.content)
    except ValueError as error:
        raise ShopError(
            f"{response.url} answered, but it is no shop that sells something; name another --url"
        ) from error
    found: dict[str, Any] = response.json()
    return found


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds to wait before the next attempt, or `None` if it would fail too."""
    after = response.headers.get("Retry-After", "")
    return float(after) if response.status_code in _RETRYABLE and after.isdecimal() else None


def _problem(response: httpx.Response) -> str:
    try:
        problem = response.json()
        parts = [
            problem.get("detail") or problem.get("title") or "",
            *(f"{each['field']}: {each['message']}" for each in problem.get("errors", [])),
        ]
        return "; ".join(filter(None, parts))
    except (ValueError, AttributeError, KeyError, TypeError):
        return response.reason_phrase
