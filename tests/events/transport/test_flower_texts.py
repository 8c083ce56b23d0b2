"""Flower's rows as sentences, with the address of our page."""

from typing import Any

import pytest
from celery.events.state import Task
from celery.exceptions import Retry

from events.outcome import Outcome, Report, Result
from events.transport.flower_texts import formatter
from events.transport.worker import DeadLettered, RetryScheduled

FORMAT = formatter(lambda name: name == "payment.charge_order", "https://x/ops/tasks/{}".format)


def shown(**fields: Any) -> Any:
    return FORMAT(Task(uuid="e:payment.charge_order:1", name="payment.charge_order", **fields))


def report(*results: Result, reason: str = "") -> str:
    return str(Report([Outcome(each, reason=reason) for each in results]))


def retried(text: str) -> str:
    return repr(Retry(text, exc=RetryScheduled(text), when=4.5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "fields", "text"),
    [
        ("SUCCESS", {"result": repr(report(Result.HANDLED))}, "handled"),
        ("SUCCESS", {"result": repr(report(*[Result.HANDLED] * 3))}, "3 handled"),
        (
            "RETRY",
            {"exception": repr(RetryScheduled(report(Result.RETRYING, reason='it\'s "down"')))},
            'is sent again by the ledger: retrying: it\\\'s "down"',
        ),
        (
            "FAILURE",
            {"exception": repr(DeadLettered(report(Result.HANDLED, Result.DEAD, reason="no")))},
            "is a dead letter: 1 handled, 1 dead: no",
        ),
        ("STARTED", {}, "is being handled"),
        ("RECEIVED", {}, "waits in a worker"),
        (
            "FAILURE",
            {"exception": "WorkerLostError('x')"},
            "ended, and the ledger has what follows: WorkerLostError('x')",
        ),
        ("PENDING", {}, ""),
    ],
)
def test_the_result_is_what_the_ledger_says(state: str, fields: dict[str, Any], text: str):
    assert shown(state=state, **fields).result == text


def test_a_row_names_its_events_and_the_address_of_our_page():
    row = shown(state="SUCCESS", args="order.created ORD-1042, 3 more", kwargs="{}")

    assert row.args == "order.created ORD-1042 and 3 more"
    assert row.kwargs == "https://x/ops/tasks/e:payment.charge_order:1"


def test_an_ordinary_task_is_left_as_it_is():
    task = FORMAT(Task(uuid="1", name="thumbnails.make", args="(1,)", kwargs="{}", result="'x'"))

    assert (task.args, task.kwargs, task.result) == ("(1,)", "{}", "'x'")
