"""The quarantine: an invalid message is committed before it is acknowledged, and never lost."""

import json
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from events.admin import invalid_messages
from events.database import transaction
from events.db_errors import describe_error

logger = structlog.get_logger("tidings.transport")

MAX_REPR = 10_000  # characters of headers that cannot be written as JSON


def quarantine(
    queue: str, reason: str, body: bytes, *, headers: str = "{}", error: Exception | None = None
) -> None:
    """Store an invalid message. Raises the database's error; the message must stay queued then."""
    try:
        with transaction() as session:
            invalid_messages.keep(
                session,
                queue=queue,
                reason=reason,
                error=repr(error) if error else "",
                headers=headers,
                body=body,
            )
    except SQLAlchemyError as failure:
        logger.critical(
            "invalid_message.not_stored",
            queue=queue,
            reason=reason,
            detail=describe_error(failure),
            note="it stays on the queue",
        )
        raise
    # Without the body, which may hold personal data.
    logger.error("invalid_message.quarantined", queue=queue, reason=reason)


def quarantine_message(
    message: Any, queue: str, reason: str, *, error: Exception | None = None
) -> None:
    """Store a message of kombu or py-amqp with its headers and raw body.

    Raises the database's error.
    """
    body = (
        message.body.encode("utf-8", "surrogatepass")
        if isinstance(message.body, str)
        else bytes(message.body or b"")
    )
    metadata = {"headers": message.headers, "properties": message.properties}
    try:
        headers = json.dumps(metadata, default=repr)
    except (TypeError, ValueError, RecursionError):  # a key that is no text, or an endless table
        headers = json.dumps(repr(metadata)[:MAX_REPR])
    quarantine(queue, reason, body, headers=headers, error=error)
