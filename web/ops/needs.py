"""The things that need a person, the worst for customers first: one row of the overview each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from flask import url_for
from sqlalchemy.orm import Session

from events import heartbeat
from events.admin import breakers, dead_letters, invalid_messages
from events.admin.breakers import BreakerLine
from events.admin.queues import QueueView
from events.breakers import State
from events.tables import Heartbeat
from tasks import impact, orders
from tasks.impact import Impact, Ranking
from tasks.orders import Order
from tasks.worker_command import worker_command

MAX_STUCK = 20  # orders that are named


@dataclass(frozen=True)
class Need:
    """A thing that needs a person: its title and text, where to act, or the command to run."""

    title: str
    text: str = ""
    url: str = ""
    action: str = ""
    command: str = ""
    tone: str = "bad"
    stops: bool = False  # orders are accepted, but some or all are not processed
    links: list[tuple[str, str]] = field(default_factory=list)


def listed(session: Session, rows: Iterable[QueueView]) -> list[Need]:
    """Return what needs a person now; `rows` are those of `queues.overview`."""
    return [
        *_ahead(session, rows),
        *_causes(impact.ranked(session, dead_letters.groups(session))),
        *_invalid_messages(invalid_messages.count(session)),
    ]


def count(session: Session, rows: Iterable[QueueView]) -> int:
    """Return how many `listed` lists; of dead letters no more than the causes is read."""
    ahead, invalid = list(_ahead(session, rows)), invalid_messages.count(session)
    return len(ahead) + dead_letters.count_groups(session) + bool(invalid)


def _ahead(session: Session, rows: Iterable[QueueView]) -> Iterator[Need]:
    yield from _relays(heartbeat.live_relays(session))
    yield from _breakers(breakers.listed(session))
    yield from _queues(rows)
    yield from _stuck(orders.without_next_step(session, limit=MAX_STUCK + 1))


def _relays(relays: Sequence[Heartbeat]) -> Iterator[Need]:
    if not relays:
        yield Need(
            "No relay is alive",
            "Orders are accepted and saved, but not processed.",
            command="tidings relay",
            stops=True,
        )
    for relay in relays:
        if relay.trouble:
            cannot = "can send nothing" if relay.blocked else "cannot reach the broker"
            text = f"{relay.trouble}. Orders are accepted and saved, but not processed."
            yield Need(f"{relay.name} {cannot}", text, stops=True)


def _breakers(lines: Iterable[BreakerLine]) -> Iterator[Need]:
    for line in lines:
        if line.state == State.CLOSED:
            continue
        url = url_for("ops.breakers.show_list", _anchor=f"breaker-{line.dependency}")
        title = f"The breaker of {line.dependency} is {line.state}"
        cause = f"by {line.who}: {line.why}" if line.who else line.error or ""
        text = f"{_deliveries(line.waiting)} for it. {cause}".strip()
        yield Need(title, text, url, "Look", tone="wait", stops=True)


def _queues(rows: Iterable[QueueView]) -> Iterator[Need]:
    for row in sorted(rows, key=lambda row: (-row.open, row.name)):
        url = url_for("ops.queues.show_list", _anchor=f"queue-{row.name}")
        if row.trouble:
            text = f"To fix it: {row.fix}. Its deliveries wait; all other queues are served."
            yield Need(f"Queue {row.name} {row.trouble}", text, url, "Look", stops=True)
        elif not row.workers and (row.subscribed or row.open):
            yield Need(
                f"Queue {row.name} has no worker",
                f"{_deliveries(row.open)} in it.",
                url,
                command=worker_command(row.name),
                stops=True,
            )


def _deliveries(number: int) -> str:
    if number == 1:
        return "1 delivery is waiting"
    return f"{number:,} deliveries are waiting" if number else "Nothing is waiting"


def _stuck(found: Sequence[Order]) -> Iterator[Need]:
    if not found:
        return
    one = len(found) == 1
    number = str(len(found)) if len(found) <= MAX_STUCK else f"More than {MAX_STUCK}"
    yield Need(
        "1 order is stuck" if one else f"{number} orders are stuck",
        "A delivery was discarded, so the next step never happens. "
        f"Cancel {'it' if one else 'them'}; the completed steps are then undone.",
        url=url_for("ops.orders.show_list", state="stuck"),
        links=[
            (each.number, url_for("ops.orders.show", order_id=each.id))
            for each in found[:MAX_STUCK]
        ],
    )


def _causes(ranking: Ranking) -> Iterator[Need]:
    for group, held_up in ranking.rows:
        yield Need(
            f"{group.count:,} {'delivery' if group.count == 1 else 'deliveries'} of "
            f"{group.subscription} died",
            f"{_waiting(held_up)}: {group.error}",
            url_for(
                "ops.dead_letters.show_list",
                subscription=group.subscription,
                fingerprint=group.fingerprint,
            ),
            "Decide",
        )


def _waiting(held_up: Impact) -> str:
    """Return the orders that wait, in the words of the list of dead letters."""
    if not held_up.orders:
        return "No order waits"
    wait = "order waits" if held_up.orders == 1 else "orders wait"
    return f"{held_up.orders_text} {wait}, with {held_up.money_text}"


def _invalid_messages(count: int) -> Iterator[Need]:
    if count:
        yield Need(
            f"{count:,} invalid {'message' if count == 1 else 'messages'}",
            "They came on the queues of Tidings, but Tidings did not send them, or they were "
            "damaged on the way.",
            url_for("ops.dead_letters.show_list", _anchor="invalid-messages"),
            "Look",
            tone="wait",
        )
