"""Customers who do not give up: each asks with one Idempotency-Key until the shop has taken the order."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tidings.chaos.audit import Accepted

_AT_ONCE = 16
_PATIENCE = 10.0  # seconds for one answer
_PAUSE = (0.1, 1.0)  # seconds before asking again
_REGRET = (0.0, 2.0)  # seconds after which a customer cancels
_AGAIN = {409, 429, 500, 502, 503, 504}  # what the shop answers when it cannot now
_KINDS = {
    "tok_ok": 50,
    "tok_flaky": 14,
    "tok_lost_answer": 12,
    "tok_declined": 8,
    "out of stock": 4,
    "cancelled soon": 12,
}


@dataclass(frozen=True)
class Errand:
    """One customer's order: when it is placed, what is asked for, and after how many seconds it is cancelled, if it is."""

    kind: str
    at: float
    key: str
    wish: dict[str, Any]
    regret: float | None


class Refused(Exception):
    """The shop answered that it will never take this."""


class Shop:
    """The shop's HTTP interface, asked until it answers."""

    def __init__(self, url: str, stop: threading.Event) -> None:
        self._host, self._stop = urlsplit(url).netloc, stop
        self.retries: Counter[str] = Counter()

    def insist(
        self, path: str, body: object = None, *, final: frozenset[int] = frozenset(), **headers: str
    ) -> tuple[int, Any]:
        """Ask until there is an answer. Raises `Refused` for one that asking again would not change, and when told to stop."""
        while True:
            try:
                status, answer = self._ask(path, body, headers)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.retries[type(error).__name__] += 1
            else:
                if status < 400 or status in final:
                    return status, answer
                if status not in _AGAIN:
                    raise Refused(f"{path} answers {status}: {answer}")
                self.retries[str(status)] += 1
            if self._stop.wait(random.uniform(*_PAUSE)):  # noqa: S311  it spreads load
                raise Refused(f"{path} was not answered before the end")

    def _ask(self, path: str, body: object, headers: dict[str, str]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self._host, timeout=_PATIENCE)
        try:
            given = {
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            }
            connection.request(
                "GET" if body is None else "POST",
                path,
                None if body is None else json.dumps(body),
                given,
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


class Customers:
    """All customers of one run, each on a thread of its own when its time has come."""

    def __init__(
        self, shop: Shop, errands: Sequence[Errand], stop: threading.Event, tell: Callable[[], None]
    ) -> None:
        self._shop, self._errands, self._stop, self._tell = shop, errands, stop, tell
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="customer")
        self._futures: list[Future[Accepted]] = []

    def start(self) -> None:
        """Let them come."""
        began = time.monotonic()
        self._futures = [self._pool.submit(self._order, errand, began) for errand in self._errands]

    def _order(self, errand: Errand, began: float) -> Accepted:
        if self._stop.wait(max(0.0, began + errand.at - time.monotonic())):
            raise Refused("the run ended before this customer came")
        _, placed = self._shop.insist("/api/v1/orders", errand.wish, Idempotency_Key=errand.key)
        cancelled = errand.regret is not None and self._cancel(placed, errand.regret)
        self._tell()
        return Accepted(
            id=placed["id"], email=errand.wish["customer"]["email"], cancelled=cancelled
        )

    def _cancel(self, placed: dict[str, Any], regret: float) -> bool:
        """Whether the shop said that it was in time; a second 409 may mean that the first answer was lost, so it says nothing."""
        self._stop.wait(regret)
        path = f"/api/v1/orders/{placed['id']}/cancel"
        status, _ = self._shop.insist(
            path, {}, final=frozenset({409}), Authorization=f"Bearer {placed['token']}"
        )
        return status < 300

    @property
    def busy(self) -> bool:
        """Whether anybody is still asking."""
        return any(not future.done() for future in self._futures)

    def leave(self) -> tuple[list[Accepted], list[str]]:
        """Send everybody home: the orders that were accepted, and why others were not."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        accepted, troubles = [], []
        for future in self._futures:
            error = None if future.cancelled() else future.exception()
            if future.cancelled() or error is not None:
                troubles.append(
                    f"an order was never accepted: {error or 'there was no time left for it'}"
                )
            else:
                accepted.append(future.result())
        return accepted, troubles


def errands(
    products: Sequence[dict[str, Any]], count: int, seconds: float, chance: random.Random
) -> list[Errand]:
    """`count` mixed orders spread over `seconds`, each kind once at least if there is room."""
    kinds = list(_KINDS)[:count]
    kinds += chance.choices(list(_KINDS), list(_KINDS.values()), k=count - len(kinds))
    chance.shuffle(kinds)
    times = sorted(chance.uniform(0.0, seconds) for _ in kinds)
    return [
        _errand(number, kind, at, products, chance)
        for number, (kind, at) in enumerate(zip(kinds, times, strict=True), 1)
    ]


def _errand(
    number: int, kind: str, at: float, products: Sequence[dict[str, Any]], chance: random.Random
) -> Errand:
    plenty = [each["sku"] for each in products if each["available"] >= 100] or [
        each["sku"] for each in products
    ]
    items = [
        {"sku": sku, "quantity": chance.randint(1, 3)}
        for sku in chance.sample(plenty, k=min(chance.randint(1, 3), len(plenty)))
    ]
    if kind == "out of stock":
        items.append(
            {"sku": min(products, key=lambda each: int(each["available"]))["sku"], "quantity": 99}
        )
    wish = {
        "customer": {"name": f"Customer {number}", "email": f"customer-{number}@chaos.example"},
        "items": items,
        "shipping_address": {
            "line1": f"{number} Example Street",
            "city": "Berlin",
            "postcode": "10115",
            "country": "DE",
        },
        "payment_token": kind if kind.startswith("tok_") else "tok_ok",
    }
    regret = chance.uniform(*_REGRET) if kind == "cancelled soon" else None
    return Errand(kind, at, f"chaos-{chance.getrandbits(128):032x}", wish, regret)
