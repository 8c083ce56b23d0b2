"""The link to the page of an order, which carries the order's token.

The token is in no event: events are shown to operators, kept for ever and copied to the screens of
other tools. Whoever writes a mail asks for the link at that moment, so it also has the token that
is valid then. The service that owns the tokens registers its reader, because no service imports
another.
"""

from collections.abc import Callable
from urllib.parse import quote, urlencode

from sqlalchemy.orm import Session

from events import NotNow
from tasks.settings import settings

TokenReader = Callable[[Session, str], str | None]

_readers: list[TokenReader] = []


def token_reader(reader: TokenReader) -> TokenReader:
    """Register the function that returns the token of the order with an id."""
    _readers[:] = [reader]
    return reader


def link(session: Session, order_id: str) -> str:
    """Return the address of the order's page, or an empty text if `PUBLIC_URL` is not set.

    Raises `NotNow` while the order has no row: an imported order gets it from the orders service.
    """
    public_url = settings().public_url
    if not public_url:
        return ""
    [reader] = _readers
    token = reader(session, order_id)
    if token is None:
        raise NotNow(f"the order {order_id} has no row yet, and the mail would have no link")
    return f"{public_url}/orders/{quote(order_id, safe='')}?{urlencode({'token': token})}"
