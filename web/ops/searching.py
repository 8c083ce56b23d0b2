"""The search field of a page: the query in its address, and what is wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import request

from events.search.query import Query


@dataclass(frozen=True)
class Search:
    """A query as it was typed; after a mistake it is empty, and `error` says what to do."""

    text: str
    query: Query
    error: str = ""

    @property
    def status(self) -> int:
        """The status of the page."""
        return 422 if self.error else 200


def search(rule: Callable[[str], Query], *more: str) -> Search:
    """Return the query in the address of the page, after the terms `more`."""
    text = " ".join(filter(None, [*more, request.args.get("q", "").strip()]))
    try:
        return Search(text, rule(text))
    except ValueError as error:
        return Search(text[:1000], Query(), str(error))
