"""The relay and the workers of the small application as processes on a real broker."""

import os
from collections import Counter
from pathlib import Path

from sqlalchemy import func, select

from events import Database, heartbeat, publish, reading, transaction
from events.admin import subscriptions
from events.subscriptions import registered
from events.tables import Delivery
from tests.events import live_app
from tests.events.live_app import Asked, Effect, Pinged
from tests.forked import BusProcess
from tests.servers import Process, wait_until

ROOT = Path(__file__).parents[2]


class Stack:
    """The bus on one database and one broker."""

    def __init__(self, database: Database, broker_url: str, home: Path) -> None:
        self.database, self.home = database, home
        self.env = os.environ | {
            "DATABASE_URL": database.url.render_as_string(hide_password=False),
            "BROKER_URL": broker_url,
            "PYTHONPATH": str(ROOT),
            "LOG_FORMAT": "console",
        }
        self.workers: dict[str, Process] = {}
        self.relays: list[Process] = []
        with transaction() as session:
            subscriptions.register(
                session,
                [
                    each
                    for each in registered().values()
                    if each.handler.__module__ == live_app.__name__
                ],
            )

    def work(
        self,
        queue: str,
        *options: str,
        app: str = "tests.events.live_app",
        concurrency: int = 1,
        **settings: str,
    ) -> Process:
        """Start a worker for `queue`, or for several with commas between them."""
        first = queue.partition(",")[0]
        home = self.home / f"{first}-{len(self.workers)}"
        home.mkdir()
        name = f"{first}{len(self.workers)}@test"
        command = [
            "celery",
            "-A",
            app,
            "worker",
            "-Q",
            queue,
            "-n",
            name,
            "-c",
            str(concurrency),
            "--without-mingle",
            "--without-gossip",
            *options,
        ]
        worker = self.workers[name] = BusProcess(command, home, self.env | settings)
        worker.launch()
        wait_until(
            lambda: self.consumes(name),
            what=f"{name} to consume; its log: {worker.log()}",
        )
        return worker

    def consumes(self, name: str) -> bool:
        """Return whether a worker has a heartbeat."""
        with reading() as session:
            return any(row.name == name for row in heartbeat.alive(session))

    def relay(self, **settings: str) -> Process:
        """Start a relay."""
        home = self.home / f"relay-{len(self.relays)}"
        home.mkdir()
        relay = BusProcess(["tests.events.live_app"], home, self.env | settings)
        self.relays.append(relay)
        relay.launch()
        wait_until(lambda: self.beats("relay"), what=f"the relay to run; its log: {relay.log()}")
        return relay

    def beats(self, kind: str) -> bool:
        """Return whether a process of this kind has a heartbeat."""
        with reading() as session:
            return any(row.kind == kind for row in heartbeat.alive(session))

    def ping(self, *numbers: int, deed: str = "work") -> None:
        """Publish a ping for each number."""
        with transaction() as session:
            publish(
                session, *[Pinged(number=number, deed=deed) for number in numbers], subject="P-1"
            )

    def ask(self, *numbers: int, deed: str = "work") -> None:
        """Publish a question for each number."""
        with transaction() as session:
            publish(session, *[Asked(number=number, deed=deed) for number in numbers])

    def effects(self, what: str) -> Counter[int]:
        """Count how often each ping had this effect."""
        with reading() as session:
            return Counter(session.scalars(select(Effect.number).where(Effect.what == what)))

    def states(self, subscription: str) -> dict[str, int]:
        """Count the deliveries of a subscription in each state."""
        with reading() as session:
            found = (
                select(Delivery.state, func.count())
                .where(Delivery.subscription == subscription)
                .group_by(Delivery.state)
            )
            return {state: count for state, count in session.execute(found)}  # noqa: C416 - dict() would not pass mypy

    def deliveries(self, subscription: str) -> list[Delivery]:
        """Return the deliveries of a subscription, the oldest event first."""
        with reading() as session:
            return list(
                session.scalars(
                    select(Delivery)
                    .where(Delivery.subscription == subscription)
                    .order_by(Delivery.event_id)
                )
            )

    def close(self) -> None:
        """Kill every process that was started."""
        for process in [*self.relays, *self.workers.values()]:
            process.kill()
