"""Forty dead letters of one subscription whose handler is mended, for the tests of the replays."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Database, DeadLetter, Retry, reading, transaction
from events.admin import replays
from events.replays.steps import AT_ONCE, Pace
from events.replays.tables import Replay
from events.tables import Delivery, LogEntry
from events.testing import Bus
from tests.events.sample import Noted, deliveries, mark, new_subscription, note
from tests.worlds import Worlds

GROUP = {"subscription": "notes.mark"}


class Handler:
    """A switch that makes the handler fail for some notes."""

    broken: set[str] | None = None  # all


def handle(event: Noted, session: Session) -> None:
    mark(event, session)
    if Handler.broken is None or event.text in Handler.broken:
        raise DeadLetter("it is broken")


@contextmanager
def dead_letters_of_a_mended_handler(database: Database, worlds: Worlds) -> Iterator[Bus]:
    """One subscription with forty dead letters, then mended."""
    Handler.broken = None
    subscription = new_subscription(handle, batch=20, retry=Retry(attempts=1))
    with Bus(subscriptions=[subscription], fail_fast=False) as bus:

        def fail() -> None:
            note(*map(str, range(40)))
            bus.drain()

        worlds.enter("forty dead letters", database, fail)
        assert states() == {"dead": 40}
        Handler.broken = set()
        yield bus


def texts() -> list[str]:
    """Return the notes of the dead letters, the first death first, which is replayed first."""
    with reading() as session:
        rows = session.execute(
            select(LogEntry.data)
            .join(Delivery, Delivery.event_id == LogEntry.id)
            .where(Delivery.state == "dead")
            .order_by(Delivery.died_at)
        )
        return [data["text"] for (data,) in rows]


def states() -> dict[str, int]:
    found: dict[str, int] = {}
    for row in deliveries():
        found[row.state] = found.get(row.state, 0) + 1
    return found


def start(pace: Pace = AT_ONCE, **which: object) -> int:
    with transaction() as session:
        return replays.start(session, who="ada", why="mended", pace=pace, **which or GROUP).id  # type: ignore[arg-type]


def job(number: int) -> Replay:
    with reading() as session:
        return replays.find(session, number)


def change(act: object, number: int) -> bool:
    with transaction() as session:
        return act(session, number, who="bob", why="wait")  # type: ignore[operator, no-any-return]


def counts(number: int) -> tuple[str, int, int, int, int]:
    row = job(number)
    return row.state, row.done, row.failed, row.skipped, row.total
