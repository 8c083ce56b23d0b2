"""The benchmarks' application on stock Celery."""

import os

from celery import Celery, Task

from benchmarks.effects import write

app = Celery("benchmark", broker=os.environ.get("BROKER_URL"))
app.conf.update(
    task_default_queue="numbers",
    task_ignore_result=True,
    task_acks_late=os.environ.get("ACKS_LATE", "1") == "1",
    task_reject_on_worker_lost=os.environ.get("REJECT_ON_WORKER_LOST") == "1",
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "4")),  # Celery's default is 4
    broker_connection_retry_on_startup=True,
)
if "LEASE" in os.environ:  # with its defaults it looks for what a dead worker held every 100 s only
    app.conf.broker_transport_options = {
        "visibility_timeout": float(os.environ["LEASE"]),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }


@app.task(name="count", bind=True)
def count(task: Task, number: int) -> None:
    """Write the effect."""
    write(number, task.request.id)


def send(messages: int) -> None:
    """Send the numbers."""
    with app.connection_for_write() as connection:
        for each in range(messages):
            count.apply_async((each,), connection=connection)
