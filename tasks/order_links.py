"""The link to the page of an order, which carries the order's token.

The token is in no event: events are shown to operators, kept for ever and copied to the screens of
other tools. Whoever writes a mail asks for the link at that moment, so it also has the token that
is valid then. The service that owns the tokens registers its reader, because no service imports
another.
"""

from collections.abc import Callable, Collection, Mapping
from urllib.parse import quote, urlencode

from sqlalchemy.orm import Session

from tasks.settings import settings

TokenReader = Callable[[Session, Collection[str]], Mapping[str, str]]

_readers: list[TokenReader] = []


def token_reader(reader: TokenReader) -> TokenReader:
    """Register the function that returns the tokens of the orders with some ids."""
    _readers[:] = [reader]
    return reader


def links(session: Session, order_ids: Collection[str]) -> dict[str, str]:
    """Return the addresses of the orders' pages; empty texts if `PUBLIC_URL` is not set.

    An order that has no row yet is left out.
    """
    public_url = settings().public_url
    if not public_url:
        return dict.fromkeys(order_ids, "")
    [reader] = _readers
    return {
        order_id: f"{public_url}/orders/{quote(order_id, safe='')}?{urlencode({'token': token})}"
        for order_id, token in reader(session, order_ids).items()
    }
