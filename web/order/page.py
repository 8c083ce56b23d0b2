"""An order's page, whole or only the part that changes; customers and operators see the same one, operators more of it."""

from dataclasses import dataclass

from flask import Response, make_response, render_template, request
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from events.admin import trace
from events.tables import LogEntry
from tasks import timeline
from tasks.email import Mail
from tasks.orders import Order
from web.order.progress import Status, Story, tell
from web.order.trace import Trace


@dataclass(frozen=True)
class Place:
    """Where a page of an order lives: the addresses of its changing part and of its cancel form, and whether an operator looks."""

    source: str
    cancel_url: str
    ops: bool


def show(session: Session, order: Order, place: Place) -> Response:
    """The whole page."""
    response = make_response(
        render_template("order.html", order=order, story=_story(session, order), **vars(place))
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def live(session: Session, order: Order, place: Place) -> Response:
    """The part of the page that changes, or 304 when the client has it."""
    response = make_response(
        render_template("live.html", order=order, story=_story(session, order), **vars(place))
    )
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def _story(session: Session, order: Order) -> Story:
    texts = {entry.event_id: entry.text for entry in timeline.entries(session, order.id)}
    status = Status(
        order.status, order.payment, order.reason, untold=_untold(session, order.number)
    )
    mails = session.scalars(select(Mail).where(Mail.order_id == order.id)).all()
    return tell(status, Trace(trace.of(session, order.number)), texts, mails)


def _untold(session: Session, subject: str) -> bool:
    """Whether the relay has an event about `subject` yet to fan out."""
    waiting = exists().where(LogEntry.subject == subject, LogEntry.relayed_at.is_(None))
    return bool(session.scalar(select(waiting)))
