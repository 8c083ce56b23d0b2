"""The benchmarks' application on stock Celery, untouched by the bus's transport."""

import os
import sys
import time

from celery import Celery
from sqlalchemy.orm import Mapped, mapped_column

from events import Base, transaction

WORK = float(os.environ.get("WORK", "0.004"))  # seconds that one effect takes


class Effect(Base):
    """One row each time the work was done for a number."""

    __tablename__ = "kill_effects"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    number: Mapped[int]


app = Celery("stock-kills", broker=os.environ.get("BROKER_URL"))
app.conf.update(
    task_default_queue="kills",
    task_ignore_result=True,
    task_acks_late=os.environ.get("ACKS_LATE") == "1",
    task_reject_on_worker_lost=os.environ.get("REJECT_ON_WORKER_LOST") == "1",
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": float(os.environ.get("LEASE", "10"))},
)


@app.task(name="count")
def stock_count(number: int) -> None:
    """Do the work, as a stock Celery task."""
    with transaction() as session:
        time.sleep(WORK)
        session.add(Effect(number=number))


if __name__ == "__main__":  # python -m benchmarks.on_stock N sends N messages
    with app.connection_for_write() as connection:
        for each in range(int(sys.argv[1])):
            stock_count.apply_async((each,), connection=connection)
