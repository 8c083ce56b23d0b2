"""The small application with ordinary tasks of Celery beside its subscriptions."""

import os
from pathlib import Path
from typing import Any

from celery import Celery, shared_task

from events import transport
from events.subscriptions import registered
from tests.events import live_app

QUEUES = (*sorted({each.queue for each in registered().values()}), "celery", "own")

app = Celery("mixed", backend=os.environ.get("RESULT_URL"))
app.config_from_object("celeryconfig")
app.conf.task_queues = transport.queues(
    QUEUES, quorum=os.environ.get("BROKER_URL", "").startswith("amqp")
)
app.conf.beat_schedule = {
    "ticking": {"task": "mixed.note", "schedule": 0.2, "args": ["beat"], "options": {"expires": 60}}
}
transport.install(app, registered().values())
transport.configure_logging()
DEEDS = live_app.DEEDS


@app.task(name="mixed.note")
def note(text: str) -> str:
    """Write a line to the file that the test named."""
    with Path(os.environ["NOTES"]).open("a") as file:
        file.write(f"{text}\n")
    return text


@shared_task(name="mixed.add")
def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


@app.task(name="mixed.total")
def total(numbers: list[int], **_: Any) -> int:
    """Add many numbers."""
    return sum(numbers)


@app.task(name="mixed.retry", bind=True, max_retries=2)
def retry(task: Any, until: int) -> str:
    """Fail until that many attempts were made."""
    if task.request.retries < until:
        raise task.retry(countdown=1)
    return f"{task.request.retries} retries"


@app.task(name="mixed.headers", bind=True)
def headers(task: Any) -> Any:
    """Return the foreign headers of the message."""
    return {name: getattr(task.request, name) for name in ("traceparent", "baggage", "tenant")}


@app.task(name="mixed.do")
def do(deed: str) -> None:
    """Do what a handler of the small application may do: die, exit, hang."""
    DEEDS[deed]()


@app.task(name="mixed.do_late", acks_late=True)
def do_late(deed: str) -> None:
    """Note it and do the same; the message is acknowledged when it is done."""
    note(deed)
    DEEDS[deed]()
