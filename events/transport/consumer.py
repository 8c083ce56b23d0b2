"""A consumer that quarantines messages which Celery discards, or which end its process."""

import time
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

import structlog
from celery.worker.consumer import consumer
from kombu.exceptions import KombuError
from sqlalchemy.exc import SQLAlchemyError

from events import newer_code
from events.db_errors import describe_error
from events.subscriptions import registered
from events.transport.delayed_delivery import DelayedDelivery, queue_of
from events.transport.ordinary import ordinary_tasks, set_requests, validate_ordinary
from events.transport.protocol import (
    InvalidMessage,
    UnknownTask,
    validate,
    without_foreign_headers,
)
from events.transport.quarantine import quarantine_message
from events.transport.refused_queues import RefusedQueues

logger = structlog.get_logger("tidings.transport")

MAX_BODY = 1 << 20  # bytes; our longest message has 40 kB
RETRY_DELAY = 5.0  # seconds until a message that the database did not take is stored again
# Seconds until Flower is told of a task. Celery tells it at once, one round trip to the broker for
# each step of a task: half of the CPU of a worker's parent, and of Flower's.
EVENTS_DELAY = 0.5

# A KeyError counts as a lost connection on the Redis transport; the others end the process.
_DECODING_ERRORS = (
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    RecursionError,
    OverflowError,
    KombuError,
)


class Consumer(consumer.Consumer):
    """A consumer that stores each message which it cannot run before it acknowledges it."""

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[valid-type, misc]  # a class
        """Celery's steps, one of them replaced."""

        default_steps = (
            *(
                each
                for each in consumer.Consumer.Blueprint.default_steps
                if not str(each).endswith(":DelayedDelivery")
            ),
            DelayedDelivery,
        )

    connection_errors: Any
    event_dispatcher: Any
    _refused: RefusedQueues | None = None
    _ordinary: Collection[str] = ()
    _events_due_at = 0.0

    def update_strategies(self) -> None:
        """Set up the tasks, and leave out queues that the broker refuses.

        Celery calls this before it declares the queues.
        """
        self._ordinary = ordinary_tasks(self.app)
        set_requests(self.app, self._ordinary)
        super().update_strategies()
        self._refused = self._refused or RefusedQueues(self)
        self._refused.leave_out()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Wrap Celery's handler, in which most malformed messages end the worker process."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_if_valid(message: Any) -> None:
            try:
                _validate(message, self._ordinary)
                handle(message)
            except UnknownTask as error:
                self._release(message, error)
            except InvalidMessage as error:
                self._quarantine(message, str(error))
            except _DECODING_ERRORS as error:
                self._quarantine(message, "undecodable", error)

        return handle_if_valid

    def on_send_event_buffered(self) -> Any:
        """Send the task events of the next moment together; 24 of them are sent at once."""
        now = time.monotonic()
        if now >= self._events_due_at:  # a lost connection may have taken the timer with it
            self._events_due_at = now + EVENTS_DELAY
            self.timer.call_after(EVENTS_DELAY, self._send_events)

    def _send_events(self) -> None:
        self._events_due_at = 0.0
        if self.event_dispatcher:
            self.event_dispatcher.flush()

    def shutdown(self) -> None:
        """Send the last task events, then shut down."""
        self._send_events()
        super().shutdown()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Quarantine a message that cannot be decoded."""
        self._quarantine(message, "undecodable", exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Quarantine a message that is no task message."""
        self._quarantine(message, "not a task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Quarantine a message for a task that does not exist."""
        self._quarantine(message, "unknown task", exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Quarantine a message that Celery refuses."""
        self._quarantine(message, "invalid task", exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Reconnect even if the lost connection cannot be closed.

        On Redis, Celery 5.7 closes it twice and would exit.
        """
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:
            logger.warning(
                "broker.lost",
                error=repr(error),
                note="closing the lost connection failed; reconnecting",
            )
            self.connection = None

    def _release(self, message: Any, unknown: UnknownTask) -> None:
        """Leave deliveries to the workers that have their subscription, which none may have."""
        try:
            known = unknown.event_ids and newer_code.release(unknown.task, unknown.event_ids)
        except SQLAlchemyError as failure:
            facts = {"subscription": unknown.task, "detail": describe_error(failure)}
            logger.warning("delivery.not_released", **facts, note="it stays on the queue")
            self.timer.call_after(RETRY_DELAY, self._release, (message, unknown))
            return
        if known:
            message.ack_log_error(logger, self.connection_errors)
        else:
            self._quarantine(message, str(unknown))

    def _quarantine(self, message: Any, reason: str, error: Exception | None = None) -> None:
        if message.acknowledged:
            return
        queue = queue_of((message.delivery_info or {}).get("routing_key") or "")
        try:
            quarantine_message(message, queue, reason, error=error)
        except SQLAlchemyError:
            self.timer.call_after(RETRY_DELAY, self._quarantine, (message, reason, error))
            return
        message.ack_log_error(logger, self.connection_errors)


def _validate(message: Any, ordinary: Collection[str]) -> None:
    """Check a message, for a delivery or for an ordinary task. Raises `InvalidMessage`."""
    name = message.headers.get("task") if isinstance(message.headers, dict) else None
    if isinstance(name, str) and name in ordinary:
        validate_ordinary(message.headers, message.payload)
        return
    if isinstance(name, str) and name not in registered():
        raise UnknownTask(name, _event_ids(message))
    _validate_delivery(message)
    message.headers = without_foreign_headers(message.headers)


def _validate_delivery(message: Any) -> None:
    if len(message.body or b"") > MAX_BODY:
        raise InvalidMessage("too large")
    if message.content_type != "application/json":
        raise InvalidMessage(f"content type {message.content_type!r} is not application/json")
    validate(message.headers, message.payload)


def _event_ids(message: Any) -> list[UUID]:
    """Return the ids that the message of a delivery names; none if it is no such message."""
    try:
        _validate_delivery(message)
    except (InvalidMessage, *_DECODING_ERRORS):
        return []
    [event_ids] = message.payload[0]
    return [UUID(event_id) for event_id in event_ids]
