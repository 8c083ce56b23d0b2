"""Keeping what is no doorbell as an invalid message: committed before its message is acknowledged, so it is on the queue or in the ledger."""

import json
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from events.admin import invalid_messages
from events.database import transaction
from events.db_errors import describe_error

logger = structlog.get_logger("tidings.transport")


def keep(
    queue: str, reason: str, body: bytes, *, headers: str = "{}", error: Exception | None = None
) -> None:
    """Write it down. Raises what the database raises, and then it must stay on its queue."""
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
            "invalid_message.unkept",
            queue=queue,
            reason=reason,
            detail=describe_error(failure),
            note="it stays on the queue",
        )
        raise
    logger.error(
        "invalid_message.kept", queue=queue, reason=reason
    )  # never the body: it can hold personal data


def keep_message(message: Any, queue: str, reason: str, *, error: Exception | None = None) -> None:
    """Write a message down with its headers and raw body. Raises what the database raises."""
    body = (
        message.body.encode("utf-8", "surrogatepass")
        if isinstance(message.body, str)
        else bytes(message.body or b"")
    )
    told = {"headers": message.headers, "properties": message.properties}
    try:
        headers = json.dumps(told, default=repr)
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # a name that is no text, or a table without a bottom
        headers = json.dumps(repr(told)[:10_000])
    keep(queue, reason, body, headers=headers, error=error)
