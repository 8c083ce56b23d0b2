"""The limits of an ordinary task's message: what RabbitMQ's client encodes and its server reads.

They hold on Redis too, so that a task depends on no broker. A message beyond them is refused at the
call. One that the outbox has nevertheless is quarantined: sent again and again, it would end the
relay, or its connection, and hold up all others.
"""

import json
from collections.abc import Iterable

from amqp.serialization import dumps

from events.messages import TaskMessage
from events.transport.protocol import InvalidMessage
from events.transport.quarantine import quarantine

MAX_SHORT = 255  # bytes of a task id, or of the name of a queue or header: a length is one byte
MAX_HEADERS = 65_536  # bytes; all must be in one frame, and RabbitMQ's hold 131,072 by default


def is_short(text: str) -> bool:
    """Tell whether a text is short enough for the name of a queue or header, or for an id."""
    return len(text.encode()) <= MAX_SHORT


def check_limits(message: TaskMessage) -> None:
    """Encode what RabbitMQ's client encodes of a message. Raises `InvalidMessage`."""
    parts = message.queue, message.id, message.priority or 0, message.headers
    try:
        size = len(dumps("ssoF", parts))
    except Exception as error:  # struct's, py-amqp's own, or that of a recursion
        raise InvalidMessage(f"RabbitMQ's client cannot encode it: {error!r}"[:200]) from error
    if size > MAX_HEADERS:
        raise InvalidMessage(f"headers have {size} bytes, more than {MAX_HEADERS}")


def without_unsendable(messages: Iterable[TaskMessage]) -> list[TaskMessage]:
    """Return the messages within the limits; quarantine the others. Raises the database's error."""
    within = []
    for message in messages:
        try:
            check_limits(message)
        except InvalidMessage as error:
            headers, body = json.dumps(message.headers), message.body.encode()
            quarantine(message.queue, f"cannot be sent: {error}", body, headers=headers)
        else:
            within.append(message)
    return within
