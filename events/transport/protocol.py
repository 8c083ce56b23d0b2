"""Celery's task message, protocol 2: how ours is encoded, and the check of those that arrive.

https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from events.errors import TidingsError
from events.messages import Message

OPTIONS = ("callbacks", "errbacks", "chain", "chord")  # Celery's; always empty in our messages

ShortText = Annotated[str, Field(max_length=1000)]
Unset = Literal[False, 0, ""] | None  # the values of Celery for a header that is not used


class InvalidMessage(TidingsError):
    """The message is none of ours; the text is the reason."""


class Headers(BaseModel):
    """The headers that a task message may have.

    A list of what is allowed, because Celery takes any name that it finds there for an attribute of
    the request, a `chain` of further tasks included, and many values of a wrong type end the worker
    process.
    """

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
    redelivered: bool | None = None  # set by kombu when the worker that had received it died
    timelimit: list[None] | None = None
    stamps: dict[str, None] | None = Field(default=None, max_length=0)
    stamped_headers: list[None] | None = Field(default=None, max_length=0)
    eta: Unset = None
    expires: Unset = None
    group: Unset = None
    group_index: Unset = None
    shadow: Unset = None
    replaced_task_nesting: Unset = None


def validate(headers: Any, payload: Any) -> None:
    """Check the headers and the decoded body of a message. Raises `InvalidMessage`."""
    if not isinstance(headers, dict) or not all(isinstance(name, str) for name in headers):
        raise InvalidMessage("headers are not a table with names that are text")
    try:
        Headers.model_validate(
            # RabbitMQ adds headers of its own that begin with "x-".
            {name: value for name, value in headers.items() if not name.startswith("x-")}
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidMessage(f"header {str(first['loc'][0])[:50]!r}: {first['msg']}") from None
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        raise InvalidMessage("body is not [arguments, named arguments, options]")
    _validate_body(*payload)


def _validate_body(arguments: Any, named: Any, options: Any) -> None:
    if (
        named != {}
        or not isinstance(options, dict)
        or options.keys() - set(OPTIONS)
        or any(options.values())
    ):
        raise InvalidMessage("body has named arguments or options; none are expected")
    if not isinstance(arguments, list | tuple) or len(arguments) != 1:
        raise InvalidMessage("arguments do not fit: one list of event ids is expected")
    [event_ids] = arguments
    if not isinstance(event_ids, list | tuple) or not event_ids:
        raise InvalidMessage("arguments do not fit: they are no list of event ids, or an empty one")
    if not all(map(_is_uuid, event_ids)):
        raise InvalidMessage("arguments do not fit: they are not event ids")


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def encode(message: Message, *, origin: str) -> tuple[bytes, dict[str, Any]]:
    """Return the body and the headers of a task message.

    Celery's `app.amqp.as_task_v2` makes the same message, as a test shows, in 6.0 µs instead of
    4.2; with the four headers it adds, publishing to Valkey takes 34 µs a message instead of 30.
    """
    event_ids = [str(event_id) for event_id in message.event_ids]
    body = json.dumps([[event_ids], {}, dict.fromkeys(OPTIONS)])
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
