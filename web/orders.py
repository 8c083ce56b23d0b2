"""Orders at the edge, for API and pages alike: one way to accept one, one rule for who sees it."""

from collections.abc import Callable
from uuid import UUID

from flask import request
from sqlalchemy.orm import Session
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from events.catalog import Line
from events.group_commit import GroupCommit
from tasks import orders, placing, products
from tasks.commands import PlaceOrder
from tasks.errors import OrderError, UnknownOrder
from tasks.orders import Order
from tasks.placing import PlacedOrder
from web import idempotency
from web.errors import WrongToken
from web.idempotency import Result
from web.metrics import orders_accepted
from web.roles import require_role
from web.security import ops_user, refuse_limited_login

_accepting = GroupCommit()


def accept_order(
    command: PlaceOrder,
    *,
    key: str | None,
    quote: Callable[[PlaceOrder], tuple[Line, ...]] = products.recent_quote,
) -> Result:
    """Save an order, once per `key`, and count it.

    The result has the order's id, number, status, total and token. Raises `KeyReused`,
    `StillRunning`, and the errors of `quote`.
    """
    lines = _quoted(command, quote)  # before the transaction, which others wait for

    def place(session: Session) -> dict[str, object]:
        if isinstance(lines, OrderError):  # a repeated request gets its first result all the same
            raise lines
        return _facts(placing.place(session, command, lines=lines))

    request_text = command.model_dump_json() if key is not None else ""
    result = _accepting.run(
        lambda session: idempotency.once(
            session, key, request_text, lambda: place(session), customer=command.customer.email
        )
    )
    if not result.replayed:
        orders_accepted().inc()
    return result


def _quoted(
    command: PlaceOrder, quote: Callable[[PlaceOrder], tuple[Line, ...]]
) -> tuple[Line, ...] | OrderError:
    try:
        return quote(command)
    except OrderError as error:
        return error


def _facts(order: PlacedOrder) -> dict[str, object]:
    return {
        "id": order.id,
        "number": order.number,
        "status": order.status,
        "total": order.total.model_dump(mode="json"),
        "token": order.token,
    }


def authorized_order(session: Session, order_id: UUID, query_token: str) -> Order:
    """Return the order if the request has its token, as Bearer token or in the query, or the login.

    Raises 401 if it has neither, 429 after too many failed logins, and `WrongToken` for a wrong id
    as for a wrong token: only operators get `UnknownOrder`, and `MissingRole` for a change that
    their role may not make.
    """
    if ops_user():
        require_role()
        return orders.find(session, str(order_id))
    sent = request.authorization
    token = sent.token if sent is not None and sent.type == "bearer" else query_token
    if not token:
        refuse_limited_login()
        raise Unauthorized(
            "This address needs the order's token, or the ops login. "
            "The link that came with the order has the token.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    try:
        order = orders.find(session, str(order_id))
    except UnknownOrder:
        raise WrongToken from None
    if not orders.may_read(order, token):
        raise WrongToken
    return order
