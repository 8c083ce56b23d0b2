"""Addresses of web sites that a setting gives."""

import re

from pydantic import AnyHttpUrl, TypeAdapter, ValidationError

from events.errors import BadValue
from events.hosts import check_host

_HTTP = TypeAdapter(AnyHttpUrl)
_BEGIN = re.compile(r"https?://[^/\\]", re.IGNORECASE)  # a browser adds and drops slashes here
_FIX = "write https://shop.example.com or https://example.com/shop"


def checked_address(text: str, fix: str = _FIX) -> str:
    """Return the base address of a site in its normal form, without a slash at its end.

    A path in front of all pages is allowed. Raises `BadValue`.
    """
    if any(each.isspace() or not each.isprintable() for each in text):
        raise BadValue("has white space in it", fix)
    try:
        url = _HTTP.validate_python(text if _BEGIN.match(text) else "")
    except ValidationError:
        raise BadValue("is no address of http or https", fix) from None
    if url.username is not None or url.password is not None:
        raise BadValue("holds a login, which everybody would see", fix)
    if url.query is not None or url.fragment is not None:
        raise BadValue("has something after its path", fix)
    if url.port == 0:
        raise BadValue("names the port 0, which is none", fix)
    check_host((url.host or "").strip("[]"), fix)
    return str(url).rstrip("/")
