"""Ordinary tasks: those of the app beside its subscriptions, which Celery runs as ever."""

from collections.abc import Iterable
from typing import Annotated, Any

from celery import Celery, Task
from celery.utils.time import maybe_iso8601
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.subscriptions import registered
from events.transport.protocol import (
    OPTIONS,
    InvalidMessage,
    validate_headers,
    validate_parts,
)
from events.transport.request import TaskRequest

OF_CELERY = "celery."  # the beginning of the names of Celery's own tasks, such as `celery.chord`


def ordinary_tasks(app: Celery) -> set[str]:
    """Return the names of the app's tasks that belong to no subscription.

    Celery's own are among them if there is any other: an app that has none has no use for them, and
    a message cannot start there what is no delivery.
    """
    names = {str(name) for name in app.tasks} - registered().keys()
    return names if any(not name.startswith(OF_CELERY) for name in names) else set()


def set_requests(app: Celery, names: Iterable[str]) -> None:
    """Give these tasks a request that never ends the worker, unless they have one of their own."""
    for name in names:
        task: Any = app.tasks[name]
        if task.Request == Task.Request:
            task.Request = TaskRequest


def _iso_time(value: str) -> str:
    """Refuse a time that Celery cannot read or compute with."""
    try:
        moment: Any = maybe_iso8601(value)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("it is no time in ISO 8601") from error
    if not 1 < moment.year < 9999:  # in another time zone it may be out of range
        raise ValueError("it is no time that a clock will show")
    return value


def _line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("it is no line of text")
    return value


Line = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(_line)]
IsoTime = Annotated[str, AfterValidator(_iso_time)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def all_queues(app: Celery) -> set[str]:
    """Return the queues of the subscriptions, and those of ordinary tasks if the app has any."""
    queues = {each.queue for each in registered().values()}
    return queues | set(app.amqp.queues) if ordinary_tasks(app) else queues


class OrdinaryHeaders(BaseModel):
    """The headers that Celery reads, with the types that it expects.

    A wrong one ends the worker process, or the message is dropped.
    """

    model_config = ConfigDict(strict=True, extra="ignore")

    task: Line
    id: Line
    retries: int = Field(default=0, ge=0, lt=1 << 31)
    lang: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    shadow: str | None = None
    ignore_result: bool | None = None
    redelivered: bool | None = None
    eta: IsoTime | None = None
    expires: IsoTime | None = None
    timelimit: list[Seconds | None] | None = Field(default=None, min_length=2, max_length=2)
    group: str | None = None
    group_index: int | None = None
    replaced_task_nesting: int | None = None
    stamps: dict[str, Any] | None = None
    stamped_headers: list[str] | None = None
    headers: dict[str, Any] | None = None


def validate_ordinary(headers: Any, payload: Any) -> None:
    """Check a message for an ordinary task for all that would end the worker process.

    What the task makes of its arguments is its own affair. Raises `InvalidMessage`.
    """
    validate_headers(OrdinaryHeaders, headers)
    stamped, stamps = headers.get("stamped_headers") or (), headers.get("stamps") or {}
    if missing := set(stamped) - stamps.keys():
        raise InvalidMessage(f"header 'stamped_headers': there is no stamp {min(missing)[:50]!r}")
    arguments, named, options = validate_parts(payload)
    if not isinstance(arguments, list | tuple):
        raise InvalidMessage("arguments are no list")
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named):
        raise InvalidMessage("named arguments are no table with names that are text")
    if options is not None and not (isinstance(options, dict) and _are_options(options)):
        raise InvalidMessage(f"options are no table of {', '.join(OPTIONS)}")


def _are_options(options: dict[Any, Any]) -> bool:
    return not options.keys() - set(OPTIONS) and all(
        value is None or isinstance(value, list | tuple | dict) for value in options.values()
    )
