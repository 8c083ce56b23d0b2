"""Tasks on commit that could never be sent: refused where they are written, on both databases."""

from datetime import datetime
from typing import Any

import pytest
from celery import Celery

from events import Database, reading, transaction
from events.errors import ScheduleError
from events.outgoing_tasks import OutgoingTask
from events.transport import apply_on_commit

_endless: list[Any] = []
_endless.append(_endless)
WRONG: dict[str, dict[str, Any]] = {
    "cannot be written as JSON": {"args": (object(),)},
    "cannot be written as JSON: .* ": {"args": (_endless,)},
    "eta=2030-01-01 00:00:00 has no time zone": {"eta": datetime(2030, 1, 1)},  # noqa: DTZ001 - the fault
    "eta='2030' is no datetime": {"eta": "2030"},
    "countdown=nan is no time": {"countdown": float("nan")},
    "countdown=5 is no time": {"countdown": "5"},
    "expires=nan is no time": {"expires": float("nan")},
    r"expires=1e\+300 is no time": {"expires": 1e300},
    "priority='high' is no whole number from 0 to 255": {"priority": "high"},
    "priority=-1 is no whole number": {"priority": -1},
    "priority=1099511627776 is no whole number": {"priority": 2**40},
    "is no line of 1 to 255 characters": {"queue": "a\0b"},
    "queue 'xxx.* of 1 to 255": {"queue": "x" * 300},
    "task id .* is no line": {"task_id": "a\nb"},
    "task id '5' is no line": {"task_id": 5},
    "header 'id' is Celery's own": {"headers": {"id": "x", "tenant": "y"}},
    "header 'update' is Celery's own": {"headers": {"update": 1}},
}
HEADERS: list[Any] = [
    {"a": object()},
    {"a": {1}},
    {"a": "\0"},
    {"a\0": 1},
    {"a": "\ud800"},
    {"a": [float("nan")]},
    {"a": {"b": 10**400}},
    {1: 1},
    "traceparent",
    {"a": _endless},
]


def add(*numbers: Any) -> Any:
    return sum(numbers)


def test_a_task_that_could_never_be_sent_is_refused_and_the_transaction_goes_on(
    any_database: Database,
) -> None:
    app = Celery("caller", broker="memory://", set_as_current=False)
    task = app.task(name="caller.add", shared=False)(add)
    wrong = [*WRONG.items(), *(("headers must be a table", {"headers": each}) for each in HEADERS)]
    with transaction() as session:
        for told, options in wrong:
            with pytest.raises(ScheduleError, match=told):
                apply_on_commit(session, task, **options)
        long = app.task(name="x" * 256, shared=False)(add)
        with pytest.raises(ScheduleError, match=r"task 'xxx.* is no line of 1 to 255 characters"):
            apply_on_commit(session, long)
        headers = {"traceparent": "none", "more": [1, 0.5, None, {"a": True}]}
        apply_on_commit(session, task, (1,), task_id="kept", headers=headers, priority=0)

    with reading() as session:
        [row] = session.query(OutgoingTask).all()
    assert row.id == "kept"
    assert row.headers.items() >= headers.items()
    app.close()
