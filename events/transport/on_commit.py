"""Ordinary tasks that are sent when the caller's transaction has committed, and never before."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Any
from uuid import uuid4

from celery import Task
from celery.exceptions import QueueNotFound
from kombu.exceptions import EncodeError
from kombu.serialization import dumps
from sqlalchemy.orm import Session

from events import clock, outgoing_tasks
from events.due_times import due_time
from events.errors import ScheduleError
from events.inputs import MAX_INTEGER, UNSTORABLE
from events.messages import TaskMessage
from events.transport.protocol import OF_CELERY, InvalidMessage
from events.transport.task_limits import MAX_SHORT, check_limits, is_short

MAX_TASK_ID = 200  # characters
MAX_NAME = 255  # characters of a queue or a task
MAX_PRIORITY = 255  # of AMQP
MAX_DEPTH = 20  # of lists and tables in the headers


def delay_on_commit(session: Session, task: Task[Any, Any], *args: Any, **kwargs: Any) -> str:
    """Send the task with these arguments when the transaction of `session` has committed.

    Return the task's id. A task of any Celery app will do whose broker is that of the relay. If the
    transaction is rolled back, the task is never sent; if it commits, the task is sent at least
    once, with this id, as soon as there is a relay and a broker. Raises `ScheduleError`, and
    `PublishError` for a session without a transaction.
    """
    return apply_on_commit(session, task, args, kwargs)


def apply_on_commit(
    session: Session,
    task: Task[Any, Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    task_id: str | None = None,
    queue: str | None = None,
    countdown: float | None = None,
    eta: datetime | None = None,
    expires: float | datetime | None = None,
    priority: int | None = None,
    headers: Mapping[str, Any] | None = None,
) -> str:
    """Do as `delay_on_commit`, with these options of Celery's `apply_async`.

    A task with `countdown` or `eta` waits in the database until then, and in no worker.
    """
    task_id = str(uuid4()) if task_id is None else _line("task id", task_id, MAX_TASK_ID)
    found: Any = task
    name = _line("task", found.name, MAX_NAME)
    given, named = _arguments(found, args, kwargs or {})
    defaults = found._get_exec_options()
    try:
        headers_of_celery, _, body, _ = found.app.amqp.as_task_v2(
            task_id,
            name,
            given,
            named,
            expires=expires if expires is not None else defaults.get("expires"),
            time_limit=defaults.get("time_limit"),
            soft_time_limit=defaults.get("soft_time_limit"),
            ignore_result=bool(found.ignore_result),
        )
    except (OverflowError, ValueError) as error:
        raise ScheduleError(f"expires={expires} is no time that will come") from error
    message = TaskMessage(
        id=task_id,
        queue=_queue(found, queue, given, named),
        headers={**headers_of_celery, **_headers(headers or {})},
        body=_json(found, body),
        priority=_priority(priority if priority is not None else defaults.get("priority")),
    )
    _check_limits(message, name)
    outgoing_tasks.add(session, message, task=name, due_at=_due_at(countdown, eta))
    return task_id


def _check_limits(message: TaskMessage, task: str) -> None:
    try:
        check_limits(message)
    except InvalidMessage as error:
        raise ScheduleError(f"{task} cannot be sent: {error}") from error


def _arguments(
    task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Check the arguments as `apply_async` does: wrong ones are a TypeError here."""
    given, named = list(args), dict(kwargs)
    if task.typing:
        task.__header__(*given, **named)
    if task._dump_pydantic_arguments is not None:
        given, named = task._dump_pydantic_arguments(given, named)
    return list(given), dict(named)


def _due_at(countdown: float | None, eta: datetime | None) -> datetime:
    if eta is not None:
        return due_time(eta, "eta")
    try:
        return clock.now() + timedelta(seconds=countdown or 0.0)
    except (OverflowError, TypeError, ValueError) as error:
        raise ScheduleError(f"countdown={countdown} is no time that will come") from error


def _queue(task: Any, queue: str | None, args: Sequence[Any], named: dict[str, Any]) -> str:
    """Return the queue that the task's own app routes it to."""
    given = {"queue": queue} if queue is not None else {}
    try:
        route = task.app.amqp.router.route(given, task.name, args, named, task)
    except QueueNotFound as error:
        raise ScheduleError(
            f"queue {queue!r} is none of {task.app.main}; list it in task_queues"
        ) from error
    found = route.get("queue")
    if found is None or (found.exchange and found.exchange.type == "fanout"):
        raise ScheduleError(f"{task.name} is routed to no single queue; give queue=")
    return _line("queue", str(found.name), MAX_NAME)


def _line(what: str, given: Any, most: int) -> str:
    if not (isinstance(given, str) and 0 < len(given) <= most and given.isprintable()):
        raise ScheduleError(f"{what} {str(given)[:50]!r} is no line of 1 to {most} characters")
    if not is_short(given):
        raise ScheduleError(f"{what} {given[:50]!r} has more than {MAX_SHORT} bytes in UTF-8")
    return given


def _priority(given: Any) -> int | None:
    if given is None or (type(given) is int and 0 <= given <= MAX_PRIORITY):
        return given
    raise ScheduleError(f"priority={given!r} is no whole number from 0 to {MAX_PRIORITY}"[:200])


def _headers(given: Any) -> Mapping[str, Any]:
    """Refuse headers that the database or the broker cannot hold: the relay would send none."""
    if isinstance(given, Mapping) and _is_plain(dict(given), MAX_DEPTH):
        if taken := sorted(given.keys() & OF_CELERY):  # it would be quarantined
            raise ScheduleError(f"header {taken[0]!r} is Celery's own; give it another name")
        return given
    raise ScheduleError(
        "headers must be a table of texts, whole numbers of 64 bits, numbers, true, false, none, "
        f"and lists and tables of these, {MAX_DEPTH} deep at most, under names of at most "
        f"{MAX_SHORT} bytes in UTF-8; remove what is none"
    )


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        names = all(_is_name(name) for name in value)
        return names and _is_plain([*value.values()], depth)
    if isinstance(value, list | tuple):
        return depth > 0 and all(_is_plain(each, depth - 1) for each in value)
    if isinstance(value, str):
        return not UNSTORABLE.search(value)
    if isinstance(value, float):
        return isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) <= MAX_INTEGER)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and not UNSTORABLE.search(value) and is_short(value)


def _json(task: Any, body: Any) -> str:
    if task.serializer not in (None, "json"):
        raise ScheduleError(
            f"{task.name} is serialized as {task.serializer}; only json can wait in the database"
        )
    try:
        return str(dumps(body, serializer="json")[2])
    except (EncodeError, RecursionError, TypeError, ValueError) as error:
        raise ScheduleError(
            f"the arguments of {task.name} cannot be written as JSON: {error}"
        ) from error
