"""Live pages: what a page that polls its own address is answered."""

import hashlib
import re

from flask import Response, request

HEADER = "X-Poll"  # set by tidings.js
# What differs in each answer and changes nothing: the token of the forms, and the time of the page.
_VOLATILE = re.compile(r'(?<=name="csrf_token" value=")[^"]*|<time>[^<]*')


def frame() -> str:
    """Return the template around a page. A poll must not consume the messages of the next page."""
    return "ops/polled.html" if HEADER in request.headers else "base.html"


def answer(response: Response) -> Response:
    """Answer the poll of a page with 304 if what it shows is what it was."""
    is_page = response.status_code == 200 and not response.direct_passthrough
    if HEADER in request.headers and is_page and response.get_etag()[0] is None:
        stable = _VOLATILE.sub("", response.get_data(as_text=True))
        response.set_etag(hashlib.sha256(stable.encode()).hexdigest())
        response.make_conditional(request)
    return response
