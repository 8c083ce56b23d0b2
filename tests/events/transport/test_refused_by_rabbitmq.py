"""What RabbitMQ refuses to a whole connection, or for want of room or rights, and the fixes."""

import json
from collections.abc import Callable, Iterator

import pytest
from celery import Celery

from events import Database, heartbeat, reading, transport
from events.errors import QueueUnavailable
from events.relay.loop import Relay
from events.transport import CeleryTransport, dead_queue
from events.transport.confirms import check_confirms
from tests.events.relay.test_loop import work
from tests.events.sample import deliveries, new_subscription, note, send
from tests.events.transport.queue_faults import Broker
from tests.servers import wait_until
from tidings.chaos.rabbitmq import RabbitMQ

pytestmark = pytest.mark.system

PASSWORD = "sesame"
USERS = "rabbit_auth_backend_internal"


class Guarded(Broker):
    """A virtual host with a user of its own, which a test restricts."""

    def __init__(self, node: RabbitMQ, url: str) -> None:
        super().__init__(node, url)
        self.user = f"ada-{self.host}"
        self.call(f"{USERS}:add_user", self.user, PASSWORD)
        self.allow()

    @property
    def their_url(self) -> str:
        return self.url.replace("guest:guest", f"{self.user}:{PASSWORD}")

    def allow(self, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        rights = (configure, write, read)
        self.call(f"{USERS}:set_permissions", self.user, self.host, *rights)

    def limit(self, **limits: int) -> None:
        named = {name.replace("_", "-"): value for name, value in limits.items()}
        self.call("rabbit_vhost_limit:parse_set", self.host, json.dumps(named))
        self.mends.append(lambda: self.call("rabbit_vhost_limit:clear", self.host))


def no_connection(broker: Guarded) -> None:
    broker.limit(max_connections=0)


def no_channel(broker: Guarded) -> None:
    broker.call(f"{USERS}:set_user_limits", broker.user, '{"max-channels": 0}')
    broker.mends.append(lambda: broker.call(f"{USERS}:clear_user_limits", broker.user, "all"))


def other_password(broker: Guarded) -> None:
    broker.call(f"{USERS}:change_password", broker.user, "other")
    broker.mends.append(lambda: broker.call(f"{USERS}:change_password", broker.user, PASSWORD))


def no_rights(broker: Guarded) -> None:
    broker.call(f"{USERS}:clear_permissions", broker.user, broker.host)
    broker.mends.append(broker.allow)


def no_host(broker: Guarded) -> None:
    broker.call("rabbit_vhost:delete", broker.host)
    broker.mends += [broker.allow, lambda: broker.call("rabbit_vhost:add", broker.host)]


REFUSALS = {
    no_connection: "limit on connections",
    no_channel: "limit on channels",
    other_password: "correct the user and the password",
    no_rights: "rabbitmqctl set_permissions",
    no_host: "rabbitmqctl add_vhost",
}


@pytest.fixture
def broker(rabbitmq_node: RabbitMQ, rabbitmq_url: str) -> Iterator[Guarded]:
    broker = Guarded(rabbitmq_node, rabbitmq_url)
    yield broker
    broker.mend()
    broker.call(f"{USERS}:delete_user", broker.user)


@pytest.fixture
def celery_transport(database: Database, broker: Guarded) -> Iterator[CeleryTransport]:
    app = Celery("refused", broker=broker.their_url, set_as_current=False)
    app.conf.task_queues = transport.queues(["notes"], quorum=True)
    found = CeleryTransport(app)
    yield found
    found.close()


def trouble() -> str:
    with reading() as session:
        [relay] = heartbeat.live_relays(session)
        return f"{heartbeat.broker_state(relay)}: {relay.trouble}"


@pytest.mark.parametrize("refuse", REFUSALS)
def test_a_rabbitmq_that_answers_and_refuses_the_connection_is_not_down(
    refuse: Callable[[Guarded], None], broker: Guarded, celery_transport: CeleryTransport
) -> None:
    relay = Relay(celery_transport, name="relay@test")
    send(new_subscription())
    refuse(broker)
    note("a")
    work(relay, rounds=2)

    assert trouble().startswith("blocked: ")
    assert REFUSALS[refuse] in trouble()
    assert broker.user not in trouble()  # /readyz and /metrics show it to anybody
    assert broker.host not in trouble()
    broker.mend()
    wait_until(
        lambda: work(relay, rounds=1) or all(row.sent_at for row in deliveries()),
        what="the message on the broker",
    )
    assert trouble() == "up: None"


def test_a_limit_on_queues_is_named(broker: Guarded, celery_transport: CeleryTransport) -> None:
    broker.limit(max_queues=0)

    with pytest.raises(QueueUnavailable) as raised:
        celery_transport.waiting("notes")

    assert "queue limit" in raised.value.reason
    assert "rabbitmqctl set_vhost_limits" in raised.value.fix


def test_a_dead_queue_that_was_deleted_is_said_to_be(
    broker: Guarded, celery_transport: CeleryTransport
) -> None:
    celery_transport.connect()
    broker.ask(lambda channel: channel.queue_delete(dead_queue.NAME))

    with pytest.raises(QueueUnavailable) as raised:
        celery_transport.drain_dead_queue()

    assert raised.value.reason == "was deleted"
    assert celery_transport.drain_dead_queue() == 0


def test_confirms_are_checked_with_the_rights_and_the_room_that_a_relay_has(
    broker: Guarded, celery_transport: CeleryTransport
) -> None:
    broker.limit(max_queues=0)
    broker.allow(configure=r"^(notes(\.topic)?|tidings\.dead)$")

    celery_transport.with_channel(lambda channel: check_confirms(channel, 10.0))
