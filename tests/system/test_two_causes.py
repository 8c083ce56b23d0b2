"""A thousand orders whose gateway is broken in two ways, of which one is mended and replayed."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import func, select

from events import Database, reading, transaction
from events.admin import dead_letters, replays
from events.admin.dead_letters import Group
from events.replays.steps import Pace
from events.replays.tables import Replay
from events.tables import Attempt
from tasks import placing
from tests.events.live_app import Effect
from tests.events.stack import Stack
from tests.servers import HANG, wait_until
from tests.tasks.builders import place_order, stocked

pytestmark = [pytest.mark.system, pytest.mark.slow]
SUBSCRIPTION = "charging.record_charge"
CARDS = {"tok_broken": 600, "tok_declined": 400}
LEASE = {"LEASE": "2"}


class Gateway(ThreadingHTTPServer):
    """A payment provider: one card gets status 500, the other an answer of another form."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Charging)
        self.mended: set[str] = set()
        self.good_answers = 6  # of the second card, before its fault shows again
        self.keys: dict[str, str] = {}  # the order that was charged with each key
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address at which it charges."""
        return f"http://127.0.0.1:{self.server_port}/"

    def answer(self, key: str, token: str, order: str) -> tuple[int, dict[str, str]]:
        """Return status and body; a key is charged once, however often it comes."""
        with self.lock:
            if token not in self.mended:
                return (500, {}) if token == "tok_broken" else (200, {"status": "charged?"})
            if token == "tok_declined" and key not in self.keys:
                if not self.good_answers:
                    return 200, {"status": "charged?"}
                self.good_answers -= 1
            self.keys[key] = order
            return 200, {"charge": "charged"}


class Charging(BaseHTTPRequestHandler):
    """A request to the gateway."""

    server: Gateway

    def do_POST(self) -> None:
        """Charge a card."""
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        status, body = self.server.answer(key, sent["token"], sent["order"])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """The provider, broken."""
    gateway = Gateway()
    thread = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield gateway
    gateway.shutdown()
    thread.join()
    gateway.server_close()


@pytest.fixture
def stack(database: Database, valkey_url: str, tmp_path: Path) -> Iterator[Stack]:
    """A database and a broker, on which nothing runs yet."""
    stack = Stack(database, valkey_url, tmp_path)
    yield stack
    stack.close()


def groups() -> dict[str, Group]:
    """Return the dead letters by their kind of error."""
    with reading() as session:
        return {each.fingerprint.partition(" ")[0]: each for each in dead_letters.groups(session)}


def job(number: int) -> Replay:
    with reading() as session:
        return replays.find(session, number)


def start(group: Group, pace: Pace) -> int:
    which = {"subscription": group.subscription, "fingerprint": group.fingerprint}
    with transaction() as session:
        return replays.start(session, who="ada", why="mended", pace=pace, **which).id  # type: ignore[arg-type]


def place_orders() -> None:
    with transaction() as session:
        stocked(session, MUG=1000)
        for token, number in CARDS.items():
            for _ in range(number):
                placing.place(session, place_order(token, MUG=1))


def test_one_group_is_replayed_to_its_end_through_kills_and_the_other_stops_itself(
    stack: Stack, gateway: Gateway
):
    place_orders()
    charging = {"app": "tests.system.charging_app", "GATEWAY_URL": gateway.url, **LEASE}
    worker, relay = stack.work("charging", **charging), stack.relay(**LEASE)
    dead = {"dead": 1000}
    wait_until(lambda: stack.states(SUBSCRIPTION) == dead, within=HANG, what="a thousand deaths")
    found = groups()
    assert {kind: each.count for kind, each in found.items()} == {"HTTPError": 600, "KeyError": 400}

    gateway.mended |= CARDS.keys()  # the second one only for its first six
    good = start(found["HTTPError"], Pace((1, 5, 25), rate=100.0))
    bad = start(found["KeyError"], Pace((1, 5, 25)))
    wait_until(lambda: job(good).done > 100, within=HANG, what="the canary to be over")
    worker.kill()
    relay.kill()
    assert job(good).state == "running"
    stack.work("charging", **charging)
    stack.relay(**LEASE)
    wait_until(lambda: job(good).state == "done", within=HANG, what="the end of the replay")
    wait_until(lambda: not job(good).open + job(bad).open, within=HANG, what="its deliveries")
    assert stack.states(SUBSCRIPTION) == {"done": 606, "dead": 394}
    check_jobs(job(good), job(bad))
    check_nothing_is_lost_or_doubled(gateway)


def check_jobs(good: Replay, bad: Replay) -> None:
    assert (good.done, good.failed, good.skipped) == (600, 0, 0)
    assert (bad.state, bad.step, bad.released) == ("stopped", 2, 31)
    assert (bad.done, bad.failed) == (6, 25)
    assert "at step 3" in str(bad.stopped_because)


def check_nothing_is_lost_or_doubled(gateway: Gateway) -> None:
    with reading() as session:
        effects = Counter(session.scalars(select(Effect.number)))
        tried = select(func.count()).select_from(Attempt).group_by(Attempt.event_id)
        attempts = Counter(session.scalars(tried))
    assert (len(effects), set(effects.values())) == (606, {1})
    assert (len(gateway.keys), len(set(gateway.keys.values()))) == (606, 606)
    assert attempts == {1: 975, 2: 25}  # 369 were left as they were
