"""The transport: the one module that touches Celery. Doorbells go out here, and come in to `dispatch` through here.

Outward: one direct message per doorbell, encoded once, in a batch. Inward: one Celery task per subscription; a consumer
that keeps what Celery would throw away or die of; a request that tells the ledger when a child process died.
"""

import json
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import structlog
from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]  # the stubs are older than Celery 5.7
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import Celery, Task
from celery.bootsteps import StartStopStep
from celery.exceptions import Retry
from celery.signals import celeryd_init, setup_logging
from celery.worker.consumer.consumer import Consumer
from celery.worker.consumer.tasks import Tasks
from celery.worker.request import Request
from kombu import Exchange, Producer, Queue
from kombu.exceptions import KombuError
from kombu.transport import TRANSPORT_ALIASES
from sqlalchemy.exc import SQLAlchemyError

from events import control, dead_queue, heartbeat, ledger, logs, strays
from events.confirms import Confirms
from events.database import forget_after_fork, is_transient, transaction
from events.dispatch import dispatch
from events.errors import BrokerDown
from events.messages import Message, encode, unfit
from events.subscriptions import Subscription, registered

logger = structlog.get_logger("tidings.transport")
Answer = TypeVar("Answer")

MAX_BODY = 1 << 20  # bytes; the longest doorbell we ring is 40 kB
SERVING = 60.0  # seconds between two notes of which subscriptions a worker serves
CONFIRM_TIMEOUT = 10.0  # seconds


def queues(names: Iterable[str], *, quorum: bool) -> list[Queue]:
    """One queue per name on a direct exchange of its own; on RabbitMQ a quorum queue that loses nothing it refuses."""
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": dead_queue.NAME,
        "x-dead-letter-routing-key": dead_queue.NAME,
        "x-dead-letter-strategy": "at-least-once",
    }
    chosen = arguments if quorum else None
    return [Queue(name, Exchange(name, type="direct"), routing_key=name, queue_arguments=chosen) for name in sorted(set(names))]


def install(app: Celery, subscriptions: Iterable[Subscription]) -> None:
    """Give `app` one task per subscription, and our consumer's parts."""
    for subscription in subscriptions:
        declare: Any = app.task(name=subscription.name, bind=True, typing=False, throws=(Dead,), Request=CrashCounting)
        declare(_runner(subscription))
    app.steps["consumer"].add(Pulse)
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "events.redis_channel:Transport"))
    setup_logging.connect(_leave_logs, weak=False)
    celeryd_init.connect(_configure_logs, weak=False)
    forget_after_fork()


def _configure_logs(sender: str, **_: Any) -> None:
    logs.configure(sender)


def _leave_logs(**_: Any) -> None:
    """That somebody hears this signal keeps Celery from setting up logs of its own."""


class Dead(Exception):
    """The task ends as FAILURE: a delivery of its message is dead. The ledger has the whole story."""


class Waiting(Exception):
    """The task ends as RETRY: a delivery of its message waits in the ledger for its next try."""


def _runner(subscription: Subscription) -> Callable[[Task[Any, Any], list[str]], str]:
    def run(task: Task[Any, Any], ids: list[str]) -> str:
        # What came back from a dying worker may be what killed it, so its start is counted.
        suspect = bool((task.request.delivery_info or {}).get("redelivered"))
        try:
            report = dispatch(subscription, [UUID(id) for id in ids], worker=task.request.hostname or "", suspect=suspect)
        except SQLAlchemyError as error:
            if not is_transient(error):
                raise
            raise Retry(exc=Waiting("the database is away; the ledger sends again after the lease")) from error
        if report.dead:
            raise Dead(str(report))
        if report.retrying:
            raise Retry(str(report), exc=Waiting(str(report)), when=report.wait)  # type: ignore[arg-type]  # the stubs say numbers.Real
        return str(report)

    run.__doc__ = subscription.handler.__doc__
    return run


class CeleryTransport:
    """Rings doorbells over the app's broker, on one connection that is made when needed and dropped when it fails."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._producer: Any = None  # a kombu Producer; the stubs do not know batch()
        self._confirms: Confirms | None = None
        self._dead: dead_queue.DeadQueue | None = None
        self._declared: set[str] = set()
        self._origin = f"relay@{socket.gethostname()}"

    @property
    def address(self) -> str:
        """Where the broker is, without its password."""
        return str(self._app.connection_for_write().as_uri())

    def connect(self) -> None:
        """Be connected. Raises `BrokerDown`."""
        with self._guarded():
            self._connected()

    def send(self, messages: Sequence[Message]) -> None:
        """Hand all messages to the broker and wait until it has them. Raises `BrokerDown`."""
        with self._guarded():
            producer = self._connected()
            for queue in {message.queue for message in messages}:
                self._declare(queue)
            with producer.batch(max_size=max(1, len(messages))):
                for message in messages:
                    self._publish(producer, message)
            if self._confirms:
                self._confirms.wait(CONFIRM_TIMEOUT)

    def waiting(self, queue: str) -> int:
        """How many messages lie ready on `queue`. Raises `BrokerDown`."""
        with self._guarded():
            channel = self._connected().channel
            self._declare(queue)
            # On Redis an empty queue does not exist, so only RabbitMQ may be asked passively.
            ready: int = channel.queue_declare(queue=queue, passive=self._confirms is not None).message_count
        return ready

    def ask(self, question: Callable[[Any], Answer]) -> Answer:
        """What the broker answers to `question`, which is put to the connection's channel. Raises `BrokerDown`, also for a refusal."""
        with self._guarded():
            return question(self._connected().channel)

    def keep_dead(self) -> int:
        """Take what RabbitMQ gave up into the ledger; on Redis there is nothing of the kind. Raises `BrokerDown`."""
        with self._guarded():
            self._connected()
            return self._dead.drain() if self._dead else 0

    def close(self) -> None:
        """Give up the connection; never raises."""
        producer, self._producer, self._confirms, self._dead = self._producer, None, None, None
        self._declared.clear()
        if producer is not None:
            try:
                producer.connection.collect(socket_timeout=1.0)
            except Exception as error:
                logger.debug("broker.close", error=repr(error))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except self._errors() as error:
            self.close()
            raise BrokerDown(f"{type(error).__name__}: {error}") from error

    def _errors(self) -> tuple[type[BaseException], ...]:
        """All the ways in which kombu says that the broker did not do it."""
        connection: Any = self._app.connection_for_write()
        return (OSError, KombuError, BrokerDown, *connection.connection_errors, *connection.channel_errors)

    def _connected(self) -> Any:
        if self._producer is None:
            connection = self._app.connection_for_write()
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=5)
            channel = connection.channel()
            if hasattr(channel, "confirm_select"):
                self._dead, self._confirms = dead_queue.DeadQueue(channel), Confirms(channel)
            self._producer = Producer(channel)
        return self._producer

    def _declare(self, queue: str) -> None:
        if queue not in self._declared and self._producer is not None:
            known = self._app.amqp.queues.get(queue) or queues([queue], quorum=self._confirms is not None)[0]
            known(self._producer.channel).declare()
            self._declared.add(queue)

    def _publish(self, producer: Any, message: Message) -> None:
        body, headers = encode(message, origin=self._origin)
        producer.publish(
            body,
            # The default exchange reaches the queue of that name by itself. On Redis the binding to any other is a key, and gone
            # with the rest when the broker is emptied: every later message would vanish until a worker was started anew.
            exchange="",
            routing_key=message.queue,
            headers=headers,
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=message.id,
            delivery_mode=2,
            mandatory=self._confirms is not None,
        )
        if self._confirms:
            self._confirms.expect()


class CrashCounting(Request):
    """Tells the ledger when the process that ran this message died or had to be killed."""

    _already_cancelled: bool
    _already_revoked: bool

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Count the crash before Celery gives the message back; the copy then finds nothing to claim."""
        error = exc_info.exception
        error = error.exc if isinstance(error, ExceptionWithTraceback) else error
        killed = isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt) and not (
            self._already_cancelled or self._already_revoked
        )
        if (killed or isinstance(error, TimeLimitExceeded)) and not self.acknowledged:
            self._count("it took longer than its time limit" if isinstance(error, TimeLimitExceeded) else "its process died")
        super().on_failure(exc_info, send_failed_event, return_ok)

    def _count(self, why: str) -> None:
        try:
            with transaction() as session:
                ledger.crash(session, self.name, [UUID(id) for id in self.args[0]], worker=self.hostname, why=why)
        except SQLAlchemyError as error:
            logger.error("crash.uncounted", task=self.name, why=why, error=type(error).__name__)


class KeepingConsumer(Consumer):
    """A consumer that keeps what it cannot run. The message is acknowledged only when the stray is stored."""

    connection_errors: Any

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's handler behind a guard: most messages of a wrong shape would end the worker process."""
        handle = super().create_task_handler(*args, **kwargs)

        def guarded(message: Any) -> None:
            try:
                reason = self._unfit(message)
                if reason is None:
                    handle(message)
                    return
            # A KeyError here counts as a lost connection on the Redis transport, the others end the process.
            except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError, OverflowError, KombuError) as error:
                self._keep(message, "undecodable", error)
            else:
                self._keep(message, reason)

        return guarded

    def _unfit(self, message: Any) -> str | None:
        if len(message.body or b"") > MAX_BODY:
            return "too large"
        if message.content_type != "application/json":
            return f"content type {message.content_type!r} is not application/json"
        reason = unfit(message.headers, message.payload)
        return reason or (None if message.headers["task"] in registered() else "unknown task")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Keep what cannot be decoded."""
        self._keep(message, "undecodable", exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Keep what is no task."""
        self._keep(message, "not a task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep a task that is no subscription."""
        self._keep(message, "unknown task", exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep a task that Celery refuses."""
        self._keep(message, "invalid task", exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Reconnect even if closing the lost connection fails: with Redis, Celery 5.7 closes it twice and would exit."""
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:
            logger.warning("broker.lost", error=repr(error), note="closing the lost connection failed; reconnecting")
            self.connection = None

    def _keep(self, message: Any, reason: str, error: Exception | None = None) -> None:
        if message.acknowledged:
            return
        body = message.body.encode("utf-8", "surrogatepass") if isinstance(message.body, str) else bytes(message.body or b"")
        queue = (message.delivery_info or {}).get("routing_key") or ""
        headers = json.dumps({"headers": message.headers, "properties": message.properties}, default=repr)
        try:
            with transaction() as session:
                strays.keep(session, queue=queue, reason=reason, error=repr(error) if error else "", headers=headers, body=body)
        except SQLAlchemyError as failure:
            logger.critical("stray.unkept", queue=queue, reason=reason, error=type(failure).__name__, note="it stays on the queue")
            self.timer.call_after(5.0, self._keep, (message, reason, error))
            return
        logger.error("stray.kept", queue=queue, reason=reason)  # never the body: it can hold personal data
        message.ack_log_error(logger, self.connection_errors)


class Pulse(StartStopStep):
    """The worker's heartbeat: a row while it consumes, none when it stopped or lost its broker."""

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Say which subscriptions this worker serves, and beat."""
        consumes = {queue.name for queue in consumer.task_consumer.queues}
        serves = [each for each in registered().values() if each.queue in consumes]
        self._timers = [
            self._repeat(consumer, SERVING, lambda: control.seen(serves)),
            self._repeat(consumer, heartbeat.INTERVAL, lambda: heartbeat.beat(consumer.hostname, "worker", sorted(consumes))),
        ]

    def stop(self, consumer: Any) -> None:
        """End the beat."""
        for timer in self._timers:
            timer.cancel()
        self._quietly(lambda: heartbeat.leave(consumer.hostname))

    def _repeat(self, consumer: Any, seconds: float, action: Callable[[], None]) -> Any:
        self._quietly(action)
        return consumer.timer.call_repeatedly(seconds, self._quietly, (action,))

    def _quietly(self, action: Callable[[], None]) -> None:
        try:
            action()
        except SQLAlchemyError as error:
            logger.warning("heartbeat.missed", error=type(error).__name__)
