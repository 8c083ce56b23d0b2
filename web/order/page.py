"""The page of an order, whole or only the part that changes. Operators see more on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, make_response, render_template
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from events.admin import trace
from events.tables import LogEntry
from tasks import reservation_deadline, timeline
from tasks.email import Mail
from tasks.orders import Order
from web.order import progress
from web.order.progress import OrderProgress
from web.order.status import Status
from web.order.trace import Trace
from web.polling import conditional


@dataclass(frozen=True)
class OrderPage:
    """A page with the addresses of its changing part and of its cancel form.

    `ops` shows the errors, the customer and the replay form too. `ask` is the form that is open,
    cancel or replay; without JavaScript a page with an open form does not refresh itself.
    """

    page_url: Callable[..., str]
    live_url: str
    cancel_url: str
    ops: bool
    ask: str = ""

    def render(self, session: Session, order: Order) -> Response:
        """Render the whole page."""
        response = make_response(
            render_template("order/page.html", **self._variables(session, order))
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    def render_live(self, session: Session, order: Order) -> Response:
        """Render the part of the page that changes, or answer 304 if the client has it."""
        return conditional(render_template("order/live.html", **self._variables(session, order)))

    def _variables(self, session: Session, order: Order) -> dict[str, Any]:
        found = _progress(session, order)
        is_open = {"cancel": found.cancellable, "replay": self.ops and bool(found.dead)}
        return {
            "order": order,
            "progress": found,
            "headline": found.for_operator if self.ops else found.for_customer,
            "open_form": self.ask if is_open.get(self.ask) else "",
            **vars(self),
        }


def _progress(session: Session, order: Order) -> OrderProgress:
    texts = {entry.event_id: entry.text for entry in timeline.entries(session, order.id)}
    unrelayed = _has_unrelayed_events(session, order.number)
    until = reservation_deadline.of(session, order.id)
    status = Status(order.number, order.status, order.payment, order.reason, unrelayed, until)
    mails = session.scalars(select(Mail).where(Mail.order_id == order.id)).all()
    return progress.build(status, Trace(trace.of(session, order.number)), texts, mails)


def _has_unrelayed_events(session: Session, subject: str) -> bool:
    unrelayed = exists().where(LogEntry.subject == subject, LogEntry.relayed_at.is_(None))
    return bool(session.scalar(select(unrelayed)))
