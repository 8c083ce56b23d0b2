"""Flower's rows as sentences, with the address of our page for each task message."""

import re
from collections.abc import Callable
from typing import Any

from events.outcome import Result

COLUMNS = "name,args,state,result,kwargs,received,runtime,worker,uuid"
# They come as `repr`: `'handled'`, `Retry(..., RetryScheduled('retrying: ...'), 4.0)`.
_ERROR = re.compile(r".*?(?:DeadLettered|RetryScheduled)\((['\"])(.*)\1\).*", re.DOTALL)
_TEXT = re.compile(r"(['\"])(.*)\1", re.DOTALL)
_MORE = re.compile(r", ([0-9]+) more$")
STATES = {
    "SUCCESS": "handled",
    "RETRY": "is sent again by the ledger",
    "STARTED": "is being handled",
    "RECEIVED": "waits in a worker",
}


def formatter(is_delivery: Callable[[str], bool], page: Callable[[str], str]) -> Any:
    """Return a function for Flower's option `format_task`.

    It changes the texts of the tasks whose name `is_delivery` accepts: the events that they are
    about, what became of them, and the address that `page` gives for the task's id.
    """

    def format_task(task: Any) -> Any:
        if is_delivery(task.name or ""):
            task.args = _events(task.args)
            task.result = _outcome(task)
            task.kwargs = page(task.uuid)
        return task

    return format_task


def _events(label: str | None) -> str:
    """Write the label of a message as a part of a sentence: `order.created ORD-1 and 3 more`."""
    return _MORE.sub(r" and \1 more", label or "")


def _outcome(task: Any) -> str:
    """Return what became of a message: the report of its deliveries, as the ledger has them."""
    state, error = STATES.get(task.state, ""), str(getattr(task, "exception", None) or "")
    if task.state == "SUCCESS":
        return _unwrapped(_TEXT, task.result) or state
    if task.state == "FAILURE":
        dead = error.startswith("DeadLettered")
        state = "is a dead letter" if dead else "ended, and the ledger has what follows"
    return ": ".join(filter(None, (state, _unwrapped(_ERROR, error))))


def _counted(report: str) -> str:
    """Write the counts of a report first: `handled 3, dead: no` is `3 handled, 1 dead: no`."""
    counts, colon, reason = report.partition(":")
    parts = [part.split(" ") for part in counts.split(", ")]
    if any(part[0] not in set(Result) or part[2:] for part in parts):
        return report
    if len(parts) > 1 or len(parts[0]) > 1:
        counts = ", ".join(f"{part[1] if part[1:] else 1} {part[0]}" for part in parts)
    return counts + colon + reason


def _unwrapped(pattern: re.Pattern[str], text: Any) -> str:
    found = pattern.fullmatch(str(text or ""))
    return _counted(found[2]) if found else str(text or "")
