"""The operators' navigation: its entries, and the numbers beside some of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import g, url_for
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from events import reading
from events.admin import dead_letters, queues, replays
from web.ops import needs

MAX_COUNT = 1_000  # of dead letters that every page counts: 0.1 ms
MAIN = (
    ("ops", "ops.overview.show", "Overview"),
    ("orders", "ops.orders.show_list", "Orders"),
    ("dead", "ops.dead_letters.show_list", "Dead letters"),
    ("replays", "ops.replays.show_list", "Replays"),
    ("queues", "ops.queues.show_list", "Queues"),
    ("events", "ops.events.show_list", "Events"),
)
MORE = (
    ("catalog", "ops.catalog.show_list", "Catalog"),
    ("products", "ops.products.show_list", "Products"),
    ("alerts", "ops.alerts.show_list", "Alerts"),
    ("breakers", "ops.breakers.show_list", "Breakers"),
    ("schedules", "ops.schedules.show_list", "Schedules"),
    ("audit", "ops.audit.show_list", "Audit"),
    ("mails", "ops.mails.show_list", "Mails"),
)


@dataclass(frozen=True)
class Entry:
    """A link of the navigation; `name` is what its page calls itself, `count` may be empty."""

    name: str
    url: str
    label: str
    count: str = ""


@dataclass(frozen=True)
class Navigation:
    """The entries in one line, those under More, and who is logged in, with the role."""

    main: list[Entry]
    more: list[Entry]
    dead: str
    operator: str
    role: str


def navigation(*, counted: bool = True) -> Navigation:
    """Return the navigation; an error page after a failure of the database has it uncounted."""
    counts = _counts() if counted else {}
    return Navigation(
        main=list(_entries(MAIN, counts)),
        more=list(_entries(MORE, counts)),
        dead=counts.get("dead", ""),
        operator=g.get("ops_user") or "",
        role=g.get("ops_role") or "",
    )


def _entries(entries: tuple[tuple[str, str, str], ...], counts: dict[str, str]) -> Iterator[Entry]:
    for name, endpoint, label in entries:
        yield Entry(name, url_for(endpoint), label, counts.get(name, ""))


def _counts() -> dict[str, str]:
    try:
        with reading() as session:
            dead = dead_letters.count(session, at_most=MAX_COUNT)
            listed = g.pop("needs", None)  # by the overview
            found = _needs(session) if listed is None else len(listed)
            live = replays.running(session)
            return {"ops": _text(found), "dead": _text(dead), "replays": _text(live)}
    except SQLAlchemyError:  # an error page must not fail for want of a number
        return {}


def _needs(session: Session) -> int:
    return needs.count(session, queues.overview(session, with_dead=False))


def _text(number: int) -> str:
    if not number:
        return ""
    return f"{number:,}" if number < MAX_COUNT else f"{MAX_COUNT:,}+"
