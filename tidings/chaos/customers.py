"""Customers who repeat a request, with one Idempotency-Key, until the shop answers it."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from tidings.chaos.audit import Accepted
from tidings.http_client import open_client
from tidings.order_mix import OUT_OF_STOCK, draw_kinds, draw_order

SOCKET_TIMEOUT = 10.0  # seconds
_THREADS = 16
_RETRY_DELAY = (0.1, 1.0)  # seconds
_CANCEL_AFTER = (0.0, 2.0)  # seconds
_RETRYABLE = {409, 429, 500, 502, 503, 504}
_CANCELLED_SOON = "cancelled soon"
_WEIGHTS = {
    "tok_ok": 50,
    "tok_flaky": 14,
    "tok_lost_answer": 12,
    "tok_declined": 8,
    OUT_OF_STOCK: 4,
    _CANCELLED_SOON: 12,
}


@dataclass(frozen=True)
class PlannedOrder:
    """An order to be placed `at` seconds after the start, and cancelled after `cancel_after`."""

    kind: str
    at: float
    key: str
    body: dict[str, Any]
    cancel_after: float | None


class RequestFailed(Exception):
    """The shop refused the request for good, or the run ended before an answer."""


class RetryingShop:
    """A client of the shop's API that repeats requests."""

    def __init__(self, url: str, stop: threading.Event) -> None:
        self._client, self._stop = open_client(url, timeout=SOCKET_TIMEOUT), stop
        self.repeated: Counter[str] = Counter()

    def request_until_answered(
        self,
        path: str,
        body: object = None,
        *,
        final: frozenset[int] = frozenset(),
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Repeat a request until it succeeds or its status is in `final`.

        Raises `RequestFailed` for another status that would not change, and when the run stops.
        """
        method = "GET" if body is None else "POST"
        while True:
            try:
                response = self._client.request(method, path, json=body, headers=headers)
                status, answer = response.status_code, response.json()
            except (httpx.HTTPError, ValueError) as error:
                self.repeated[type(error).__name__] += 1
            else:
                if response.is_success or status in final:
                    return status, answer
                if status not in _RETRYABLE:
                    raise RequestFailed(f"{path} answered {status}: {answer}")
                self.repeated[str(status)] += 1
            if self._stop.wait(random.uniform(*_RETRY_DELAY)):  # noqa: S311  it spreads load
                raise RequestFailed(f"{path} was not answered before the end of the run")


class Customers:
    """The customers of a run, each on a thread of its own from the time of its order."""

    def __init__(
        self,
        shop: RetryingShop,
        planned: Sequence[PlannedOrder],
        stop: threading.Event,
        accepted: Callable[[], None],
    ) -> None:
        self._shop, self._planned, self._stop, self._accepted = shop, planned, stop, accepted
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="customer")
        self._futures: list[Future[Accepted]] = []

    def start(self) -> None:
        """Start the time of all planned orders."""
        began = time.monotonic()
        self._futures = [self._pool.submit(self._place, each, began) for each in self._planned]

    def _place(self, order: PlannedOrder, began: float) -> Accepted:
        if self._stop.wait(max(0.0, began + order.at - time.monotonic())):
            raise RequestFailed("the run ended before the time of this order")
        _, placed = self._shop.request_until_answered(
            "/api/v1/orders", order.body, headers={"Idempotency-Key": order.key}
        )
        cancelled = order.cancel_after is not None and self._cancel(placed, order.cancel_after)
        self._accepted()
        return Accepted(placed["id"], order.body["customer"]["email"], cancelled)

    def _cancel(self, placed: dict[str, Any], cancel_after: float) -> bool:
        """Cancel an order and return true if the shop confirmed it.

        A 409 proves nothing: the answer to the first of two requests may have been lost.
        """
        self._stop.wait(cancel_after)
        status, _ = self._shop.request_until_answered(
            f"/api/v1/orders/{placed['id']}/cancel",
            {},
            final=frozenset({409}),
            headers={"Authorization": f"Bearer {placed['token']}"},
        )
        return status < 300

    @property
    def busy(self) -> bool:
        """True while a request is unanswered."""
        return any(not future.done() for future in self._futures)

    def stop(self) -> tuple[list[Accepted], list[str]]:
        """Stop all customers; return the accepted orders, and the reasons why others were not."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        accepted, failures = [], []
        for future in self._futures:
            error = None if future.cancelled() else future.exception()
            if future.cancelled() or error is not None:
                reason = error or "the run ended before its time"
                failures.append(f"an order was never accepted: {reason}")
            else:
                accepted.append(future.result())
        return accepted, failures


def plan_orders(
    products: Sequence[dict[str, Any]], count: int, seconds: float, rng: random.Random
) -> list[PlannedOrder]:
    """Plan `count` mixed orders spread over `seconds`."""
    kinds = draw_kinds(_WEIGHTS, count, rng)
    times = sorted(rng.uniform(0.0, seconds) for _ in kinds)
    return [_plan(kind, at, products, rng) for kind, at in zip(kinds, times, strict=True)]


def _plan(
    kind: str, at: float, products: Sequence[dict[str, Any]], rng: random.Random
) -> PlannedOrder:
    return PlannedOrder(
        kind=kind,
        at=at,
        key=f"chaos-{rng.getrandbits(128):032x}",
        body=draw_order(kind, products, rng),
        cancel_after=rng.uniform(*_CANCEL_AFTER) if kind == _CANCELLED_SOON else None,
    )
