"""Clients that post orders, in a process of their own, each one order after the other.

`python -m benchmarks.client URL --clients 8 --orders 400` prints a `Posted` as JSON.
"""

import argparse
import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.servers import ROOT

PATH = "/api/v1/orders"
_HEADERS = {"Content-Type": "application/json"}
_ACCEPTED = 202


@dataclass(frozen=True)
class Posted:
    """Times of a series of orders in seconds: each, all, and CPU of the client."""

    latencies: list[float]
    began: float
    took: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Orders that were accepted each second."""
        return len(self.latencies) / self.took

    @property
    def cpu_share(self) -> float:
        """Share of one core that the client took."""
        return self.cpu / self.took


def post(
    url: str,
    *,
    clients: int,
    orders: int = 10**9,
    seconds: float = 600,
    skus: str = "MUG-BLUE",
    rate: float = 0,
) -> Posted:
    """Post orders from a process of its own until so many are accepted or the time is over.

    With a `rate` no more than so many are posted each second, else as many as are answered.
    """
    words = [url, "--clients", clients, "--orders", orders, "--seconds", seconds, "--skus", skus]
    words += ["--rate", rate]
    command = [sys.executable, "-m", "benchmarks.client", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return Posted(**json.loads(done.stdout))


def body(number: int, sku: str) -> bytes:
    """Return an order as it is posted."""
    order = {
        "customer": {"name": "Ada Example", "email": f"ada{number}@clients.example"},
        "items": [{"sku": sku, "quantity": 1}],
        "shipping_address": {
            "line1": "1 Test Street",
            "city": "Berlin",
            "postcode": "10115",
            "country": "DE",
        },
        "payment_token": "tok_ok",
    }
    return json.dumps(order).encode()


class _Clients:
    def __init__(self, options: argparse.Namespace) -> None:
        self._address = options.url.removeprefix("http://")
        self._options = options
        self._numbers = itertools.count()
        self._skus = options.skus.split(",")
        self.latencies: list[float] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        threads = [threading.Thread(target=self._post_all) for _ in range(self._options.clients)]
        self._began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure

    def _post_all(self) -> None:
        try:
            connection = http.client.HTTPConnection(self._address, timeout=60)
            while not self.failure and time.monotonic() < self._began + self._options.seconds:
                if (number := next(self._numbers)) >= self._options.orders:
                    return
                self._keep_to_rate(number)
                self._post(connection, body(number, self._skus[number % len(self._skus)]))
        except Exception as error:
            self.failure = error

    def _keep_to_rate(self, number: int) -> None:
        if rate := self._options.rate:
            time.sleep(max(self._began + number / rate - time.monotonic(), 0))

    def _post(self, connection: http.client.HTTPConnection, order: bytes) -> None:
        sent = time.perf_counter()
        connection.request("POST", PATH, order, _HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        self.latencies.append(time.perf_counter() - sent)
        if answer.status != _ACCEPTED:
            raise ConnectionError(f"answered {answer.status}: {text[:300]!r}")


def main() -> None:
    """Post the orders that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--skus", default="MUG-BLUE")
    parser.add_argument("--rate", type=float, default=0.0)
    clients = _Clients(parser.parse_args())
    began, cpu, start = time.time(), time.process_time(), time.perf_counter()
    clients.run()
    found: dict[str, Any] = {"latencies": clients.latencies, "began": began}
    found |= {"took": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
