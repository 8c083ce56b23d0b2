"""A consumer that keeps what Celery would throw away, and lives through what would end its process."""

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.consumer import consumer
from kombu.exceptions import KombuError
from sqlalchemy.exc import SQLAlchemyError

from events.messages import unfit
from events.subscriptions import registered
from events.transport.quarantine import keep_message

logger = structlog.get_logger("tidings.transport")

MAX_BODY = 1 << 20  # bytes; the longest doorbell we ring is 40 kB


class Consumer(consumer.Consumer):
    """A consumer that keeps what it cannot run. The message is acknowledged only when the invalid message is stored."""

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
            except (
                KeyError,
                ValueError,
                TypeError,
                AttributeError,
                IndexError,
                RecursionError,
                OverflowError,
                KombuError,
            ) as error:
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
            logger.warning(
                "broker.lost",
                error=repr(error),
                note="closing the lost connection failed; reconnecting",
            )
            self.connection = None

    def _keep(self, message: Any, reason: str, error: Exception | None = None) -> None:
        if message.acknowledged:
            return
        queue = (message.delivery_info or {}).get("routing_key") or ""
        try:
            keep_message(message, queue, reason, error=error)
        except SQLAlchemyError:
            self.timer.call_after(5.0, self._keep, (message, reason, error))
            return
        message.ack_log_error(logger, self.connection_errors)
