"""The relay and the real transport while Valkey is full, frozen or killed.

Messages that it does not take wait in the ledger, and are sent when it takes them again.
"""

import base64
import json
from collections.abc import Callable, Collection, Iterator
from uuid import UUID

import pytest
from celery import Celery

from events import Database, heartbeat, reading, transport
from events.dispatch import dispatch
from events.errors import BrokerDown
from events.relay.loop import Relay
from events.settings import settings
from events.testing import ManualClock
from events.transport import CeleryTransport
from tests.events.relay.test_loop import work
from tests.events.sample import deliveries, marks, new_subscription, note, send
from tests.events.transport.test_confirms import message
from tests.living import living
from tests.servers import Valkey, wait_until

TENS = new_subscription(batch=10)
TEXTS = [str(number) for number in range(40)]


@pytest.fixture
def celery_transport(database: Database, valkey_url: str) -> Iterator[CeleryTransport]:
    """The real transport with short timeouts."""
    app = Celery("faults", broker=valkey_url, set_as_current=False)
    app.conf.task_queues = transport.queues(["notes", "others"], quorum=False)
    app.conf.broker_transport_options = {
        "socket_timeout": 0.5,
        "socket_connect_timeout": 0.5,
        "retry_on_timeout": False,
    }
    found = CeleryTransport(app)
    yield found
    found.close()


def queued(valkey: Valkey) -> list[list[UUID]]:
    """The event ids of each message on the queue."""
    with valkey.client() as client:
        raw = client.lrange("notes", 0, -1)
    bodies = [json.loads(base64.b64decode(json.loads(each)["body"])) for each in raw]
    return [[UUID(event_id) for event_id in arguments[0]] for arguments, *_ in bodies]


def full(valkey: Valkey) -> Callable[[], None]:
    """No memory left; `noeviction` is its policy."""
    with valkey.client() as client:
        client.config_set("maxmemory", "1")

    def mend() -> None:
        with valkey.client() as client:
            client.config_set("maxmemory", "0")

    return mend


def frozen(valkey: Valkey) -> Callable[[], None]:
    """It keeps its connections and does not answer."""
    valkey.freeze()
    return valkey.thaw


def killed(valkey: Valkey) -> Callable[[], None]:
    """It is killed, and started again with its files."""
    valkey.kill()
    return valkey.start


@pytest.mark.parametrize("trouble", [full, frozen, killed])
@pytest.mark.parametrize(
    "connected", [True, False], ids=["amid its work", "before the first message"]
)
def test_what_the_broker_does_not_take_waits_in_the_ledger_and_every_effect_happens_once(
    trouble: Callable[[Valkey], Callable[[], None]],
    connected: bool,
    valkey: Valkey,
    celery_transport: CeleryTransport,
) -> None:
    relay = Relay(celery_transport, name="relay@test")
    send(TENS)
    if connected:
        note("first")
        work(relay)
    mend = trouble(valkey)
    try:
        note(*TEXTS)
        work(relay, rounds=3)

        assert {row.sent_at for row in deliveries() if row.event_id not in _first(connected)} == {
            None
        }
        assert _trouble() not in (None, "")
    finally:
        mend()
    wait_until(lambda: _works(relay), what="all messages on the broker")
    expected = dict.fromkeys([*TEXTS, *(["first"] if connected else [])], 1)
    wait_until(lambda: _handled(valkey, relay) == expected.keys(), what="every effect")

    assert marks() == expected


def _handled(valkey: Valkey, relay: Relay) -> Collection[str]:
    """Handle what is queued; return the effects. On a busy machine some deliveries come again."""
    for ids in queued(valkey):
        dispatch(TENS, ids, worker="w")
    work(relay, rounds=1)
    return marks().keys()


def _first(connected: bool) -> set[UUID]:
    return {deliveries()[0].event_id} if connected else set()


def _trouble() -> str | None:
    with reading() as session:
        [row] = heartbeat.live_relays(session)
    return row.trouble


def _works(relay: Relay) -> bool:
    work(relay, rounds=1)
    return all(row.sent_at for row in deliveries()) and _trouble() is None


def test_a_queue_whose_key_is_no_list_is_refused_and_named_and_another_is_sent_once(
    valkey: Valkey, celery_transport: CeleryTransport
) -> None:
    relay = Relay(celery_transport, name="relay@test")
    send(TENS, new_subscription(name="others.mark"))
    with valkey.client() as client:
        client.set("notes", "text")
    with living("w", "worker", "others", slots=100):
        for text in TEXTS[:10]:
            note(text)
            work(relay, rounds=1)
    with reading() as session:
        troubles = heartbeat.queue_troubles(session)

    assert "WRONGTYPE" in troubles["notes"]["reason"]
    assert "redis-cli type notes" in troubles["notes"]["fix"]
    assert _trouble() is None
    assert {row.sent_at for row in deliveries()} == {None}
    # The flush that met the error was repeated queue by queue; no later one is.
    assert 10 <= celery_transport.waiting("others") <= 11
    with valkey.client() as client:
        client.delete("notes")
    wait_until(
        lambda: work(relay, rounds=1) or all(row.sent_at for row in deliveries()),
        what="the messages of the queue",
    )


REFUSALS = {
    "let BROKER_URL name the primary": ("replicaof 127.0.0.1 1", "replicaof no one"),
    "min-replicas-to-write": (
        "config set min-replicas-to-write 1",
        "config set min-replicas-to-write 0",
    ),
    "raise its maxmemory": ("config set maxmemory 1", "config set maxmemory 0"),
}


@pytest.mark.parametrize("fix", REFUSALS)
def test_a_broker_that_answers_and_refuses_writes_is_blocked_until_it_takes_them(
    fix: str, valkey: Valkey, celery_transport: CeleryTransport
) -> None:
    relay = Relay(celery_transport, name="relay@test")
    send(TENS)
    breaks, mends = REFUSALS[fix]
    with valkey.client() as client:
        client.execute_command(*breaks.split())
        try:
            note("a")
            work(relay, rounds=2)
            sent = [row.sent_at for row in deliveries()]
            relay._upkeep_at = 0.0
            relay._upkeep()  # that Redis answers is no sign that it takes messages
            trouble = _trouble() or ""
        finally:
            client.execute_command(*mends.split())
    assert sent == [None]
    assert "accepts no messages" in trouble
    assert fix in trouble
    wait_until(lambda: _works(relay), what="the message on the broker")


def test_a_command_that_the_user_may_not_run_is_named(
    valkey: Valkey, celery_transport: CeleryTransport
) -> None:
    relay = Relay(celery_transport, name="relay@test")
    send(TENS)
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-lpush")
        try:
            note("a")
            work(relay, rounds=1)
            with reading() as session:
                trouble = heartbeat.queue_troubles(session)["notes"]
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+lpush")

    assert "'lpush'" in trouble["reason"]
    assert "ACL SETUSER" in trouble["fix"]
    wait_until(lambda: _works(relay), what="the message on the broker")


def test_a_loss_on_another_queue_is_mended_while_a_key_is_no_list(
    valkey: Valkey, celery_transport: CeleryTransport, time: ManualClock
) -> None:
    relay = Relay(celery_transport, name="relay@test")
    send(TENS, new_subscription(name="others.mark"))
    note("a")
    work(relay)
    with valkey.client() as client:
        client.delete("notes", "others")
        client.set("notes", "text")
    for seconds in (5.0, settings().lease, 1.0):
        time.advance(seconds)
        relay._upkeep_at = 0.0
        work(relay, rounds=1)

    assert celery_transport.waiting("others") == 1


def test_an_empty_queue_is_no_error_and_a_long_one_is_counted(
    celery_transport: CeleryTransport,
) -> None:
    assert celery_transport.waiting("notes") == 0
    celery_transport.send([message() for _ in range(700)])

    assert (celery_transport.waiting("notes"), celery_transport.waiting("others")) == (700, 0)


def test_messages_come_to_the_queue_in_the_order_in_which_they_were_sent(
    celery_transport: CeleryTransport, valkey: Valkey
) -> None:
    messages = [message() for _ in range(20)]
    celery_transport.send(messages)

    # Celery takes from the right.
    assert queued(valkey)[::-1] == [list(each.event_ids) for each in messages]


def test_a_broker_that_is_not_there_is_said_to_be_down(database: Database) -> None:
    nowhere = CeleryTransport(
        Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    )

    for ask in (
        nowhere.connect,
        lambda: nowhere.send([message()]),
        lambda: nowhere.waiting("notes"),
    ):
        with pytest.raises(BrokerDown):
            ask()


@pytest.mark.parametrize(
    ("address", "fix"),
    [
        ("redis://127.0.0.1:{port}/99", "let BROKER_URL name a database that the server has"),
        ("redis://ada:sesame@127.0.0.1:{port}/0", "correct the password in BROKER_URL"),
    ],
)
def test_what_the_address_asks_of_a_broker_that_answers_has_its_fix(
    address: str, fix: str, valkey: Valkey, database: Database
) -> None:
    url = address.format(port=valkey.port)
    refused = CeleryTransport(Celery("refused", broker=url, set_as_current=False))

    with pytest.raises(BrokerDown) as raised:
        refused.waiting("notes")

    assert fix in str(raised.value)
    assert "sesame" not in str(raised.value)


def test_a_message_for_an_undeclared_queue_makes_its_queue(
    celery_transport: CeleryTransport,
) -> None:
    celery_transport.send([message("brand_new")])

    assert celery_transport.waiting("brand_new") == 1
