"""What lies on a queue: a doorbell that names a subscription and the events to handle, nothing else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True)
class Message:
    """One message to one queue. `label` is what Flower shows; it holds no personal data."""

    id: str
    subscription: str
    queue: str
    event_ids: tuple[UUID, ...]
    retries: int
    label: str


class Transport(Protocol):
    """Takes messages to their queues: Celery's broker in earnest, a list in tests."""

    def connect(self) -> None:
        """Be connected. Raises `BrokerDown`."""

    def send(self, messages: Sequence[Message]) -> None:
        """Hand all messages to the broker. Raises `BrokerDown`; then any of them may or may not have arrived."""

    def waiting(self, queue: str) -> int:
        """How many messages lie ready on `queue`, those in a worker's hands left out. Raises `BrokerDown`."""


_ids = TypeAdapter(list[UUID])


def unfit(headers: Any, payload: Any) -> str | None:
    """Why Celery could not turn this message into a task, or `None` when it can.

    Celery 5.7 ends the worker process on most of these, so they are found before it looks.
    """
    if not isinstance(headers, dict):
        return "headers are not a table"
    for name in ("task", "id"):
        if not isinstance(headers.get(name), str) or not headers[name]:
            return f"header {name!r} is missing or not text"
    if headers.get("eta") or headers.get("expires"):
        return "eta and expires are not used here: due times are in the ledger"
    if not isinstance(headers.get("retries") or 0, int):
        return "header 'retries' is not a number"
    if not _is_time_limit(headers.get("timelimit")):
        return "header 'timelimit' is not two numbers"
    if not isinstance(headers.get("stamped_headers") or [], list | tuple):
        return "header 'stamped_headers' is not a list"
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        return "body is not [arguments, named arguments, options]"
    return _unfit_arguments(*payload)


def _unfit_arguments(arguments: Any, named: Any, options: Any) -> str | None:
    if named or (options and any(options.values() if isinstance(options, dict) else [True])):
        return "body has named arguments or options; a doorbell has neither"
    if not isinstance(arguments, list | tuple) or len(arguments) != 1:
        return "arguments do not fit: one list of event ids is expected"
    try:
        ids = _ids.validate_python(arguments[0])
    except ValidationError:
        return "arguments do not fit: they are not event ids"
    return None if ids else "arguments do not fit: the list of event ids is empty"


def _is_time_limit(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list | tuple) and len(value) == 2 and all(x is None or (isinstance(x, int | float) and x > 0) for x in value)


def encode(message: Message, *, origin: str) -> tuple[bytes, dict[str, Any]]:
    """Body and headers of a Celery task message, protocol 2 (https://docs.celeryq.dev/en/stable/internals/protocol.html)."""
    body = json.dumps([[[str(id) for id in message.event_ids]], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    headers = {
        "lang": "py",
        "task": message.subscription,
        "id": message.id,
        "root_id": message.id,
        "parent_id": None,
        "group": None,
        "eta": None,
        "expires": None,
        "shadow": None,
        "retries": message.retries,
        "timelimit": [None, None],
        "argsrepr": message.label,
        "kwargsrepr": "{}",
        "origin": origin,
        "ignore_result": True,
    }
    return body.encode(), headers
