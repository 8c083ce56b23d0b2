"""What lies on a queue: a doorbell that names a subscription and the events to handle, nothing else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

OPTIONS = ("callbacks", "errbacks", "chain", "chord")  # Celery's; a doorbell names them, empty


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

    def drain_dead_queue(self) -> int:
        """Take what the broker itself gave up into the ledger as invalid messages; returns how many. Raises `BrokerDown`."""


ShortText = Annotated[str, Field(max_length=1000)]
Nothing = Literal[False, 0, ""] | None  # what Celery writes into a header of which we make no use


class Headers(BaseModel):
    """What a doorbell's headers may hold. Celery takes any name it finds there for an attribute of the request, a `chain` of
    further tasks included, and ends the worker process on many a value of another type."""

    model_config = ConfigDict(strict=True, extra="forbid")

    task: str = Field(pattern=r"^[!-~]{1,200}$")
    id: str = Field(pattern=r"^[!-~]{1,400}$")
    retries: int = Field(default=0, ge=0, lt=1 << 31)
    lang: ShortText | None = None
    root_id: ShortText | None = None
    parent_id: ShortText | None = None
    argsrepr: ShortText | None = None
    kwargsrepr: ShortText | None = None
    origin: ShortText | None = None
    ignore_result: bool | None = None
    redelivered: bool | None = None  # kombu's mark on what came back from a worker that died
    timelimit: list[None] | None = None
    stamps: dict[str, None] | None = Field(default=None, max_length=0)
    stamped_headers: list[None] | None = Field(default=None, max_length=0)
    eta: Nothing = None
    expires: Nothing = None
    group: Nothing = None
    group_index: Nothing = None
    shadow: Nothing = None
    replaced_task_nesting: Nothing = None


def unfit(headers: Any, payload: Any) -> str | None:
    """Why this message is no doorbell, or `None` when it is one."""
    if not isinstance(headers, dict) or not all(isinstance(name, str) for name in headers):
        return "headers are not a table with names that are text"
    try:
        Headers.model_validate(
            {name: value for name, value in headers.items() if not name.startswith("x-")}
        )  # RabbitMQ's own
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return f"header {str(first['loc'][0])[:50]!r}: {first['msg']}"
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        return "body is not [arguments, named arguments, options]"
    return _unfit_body(*payload)


def _unfit_body(arguments: Any, named: Any, options: Any) -> str | None:
    if (
        named != {}
        or not isinstance(options, dict)
        or options.keys() - set(OPTIONS)
        or any(options.values())
    ):
        return "body has named arguments or options; a doorbell has neither"
    if not isinstance(arguments, list | tuple) or len(arguments) != 1:
        return "arguments do not fit: one list of event ids is expected"
    if not isinstance(arguments[0], list | tuple) or not arguments[0]:
        return "arguments do not fit: they are no list of event ids, or an empty one"
    return (
        None if all(map(_is_id, arguments[0])) else "arguments do not fit: they are not event ids"
    )


def _is_id(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def encode(message: Message, *, origin: str) -> tuple[bytes, dict[str, Any]]:
    """Body and headers of a Celery task message, protocol 2 (https://docs.celeryq.dev/en/stable/internals/protocol.html)."""
    body = json.dumps([[[str(id) for id in message.event_ids]], {}, dict.fromkeys(OPTIONS)])
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
