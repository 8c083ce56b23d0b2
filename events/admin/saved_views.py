"""Saved views: searches under a name, for everybody who operates."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import clock
from events.admin import audit
from events.dialects import dialect_of
from events.errors import TidingsError
from events.inputs import PlainText
from events.orm import Base

Searched = Literal["events", "dead-letters"]
SEARCHED: tuple[Searched, ...] = get_args(Searched)
NAME = PlainText(60)
MAX_VIEWS = 100  # of one page


class SavedView(Base):
    """A search of events or dead letters under a name."""

    __tablename__ = "saved_views"

    page: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    query: Mapped[str] = mapped_column(Text)
    who: Mapped[str] = mapped_column(String(200))
    why: Mapped[str] = mapped_column(Text)  # what it is for
    saved_at: Mapped[datetime]


class UnknownView(TidingsError):
    """No view of the page has this name."""

    def __init__(self, page: str, name: str) -> None:
        super().__init__(f"no view of {page} has the name {name!r}; `tidings views` lists them")


class TooManyViews(TidingsError):
    """The page has as many views as it can list."""


def listed(session: Session, page: str | None = None) -> Sequence[SavedView]:
    """Return the views of a page, or all, by page and name."""
    found = select(SavedView).order_by(SavedView.page, SavedView.name)
    return session.scalars(found if page is None else found.where(SavedView.page == page)).all()


def save(session: Session, page: Searched, name: str, query: str, *, who: str, why: str) -> bool:
    """Save a search that was checked under a name; return False if it replaced another.

    Raises `ReasonMissing` and `TooManyViews`.
    """
    _take_turns(session)
    view = session.get(SavedView, (page, name))
    is_new = view is None
    if view is None:
        count = select(func.count()).select_from(SavedView).where(SavedView.page == page)
        if (session.scalar(count) or 0) >= MAX_VIEWS:
            raise TooManyViews(f"{page} has {MAX_VIEWS} views already; remove one first")
        view = SavedView(page=page, name=name)
        session.add(view)
    view.query, view.who, view.why, view.saved_at = query, who, why, clock.now()
    session.flush()
    _record(session, "save view", view, who, why)
    return is_new


def remove(session: Session, page: str, name: str, *, who: str, why: str) -> None:
    """Remove a view. Raises `UnknownView` and `ReasonMissing`."""
    _take_turns(session)
    view = session.get(SavedView, (page, name))
    if view is None:
        raise UnknownView(page, name)
    session.delete(view)
    _record(session, "remove view", view, who, why)


def _take_turns(session: Session) -> None:
    """Wait for others who save or remove a view: of a name that is new, both would insert it."""
    dialect_of(session).lock_table(session, SavedView.__tablename__)


def _record(session: Session, action: str, view: SavedView, who: str, why: str) -> None:
    target, query = f"{view.page}: {view.name}", {"query": view.query}
    audit.record(session, who=who, action=action, target=target, why=why, parameters=query)
