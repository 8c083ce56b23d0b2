"""The fields of a request whose values a database refused, for an error that names them."""

import json
from collections.abc import Iterator
from typing import Any

from flask import request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from events.inputs import MAX_INTEGER

_MAX_INTEGER_32 = 2**31 - 1


def refused_fields() -> list[str]:
    """Return the names of the fields with a value that no column takes, most likely first."""
    fields = list(_fields())
    for is_refused in (_is_no_text, _is_too_large, _is_large):
        if found := [name for name, value in fields if is_refused(value)]:
            return found
    texts = [(len(value), name) for name, value in fields if isinstance(value, str)]
    return [max(texts)[1]] if texts else ["body"]


def sent_form() -> MultiDict[str, str]:
    """Return the form of a request that is refused; none if its body is too large to be read."""
    try:
        return request.form
    except HTTPException:
        return MultiDict()


def _fields() -> Iterator[tuple[str, Any]]:
    yield from (request.view_args or {}).items()
    yield from request.args.items()
    yield from sent_form().items()
    try:
        yield from _flat("", json.loads(request.get_data()))
    except (ValueError, RecursionError, HTTPException):
        return


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each value in JSON with its path, such as `items.0.quantity`."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, each in pairs:
            yield from _flat(f"{path}.{name}".removeprefix("."), each)
    else:
        yield path, value


def _is_no_text(value: Any) -> bool:
    return isinstance(value, str) and (
        "\0" in value or any("\ud800" <= each <= "\udfff" for each in value)
    )


def _number(value: Any) -> int:
    if isinstance(value, int):
        return abs(value)
    digits = isinstance(value, str) and value.isascii() and value.isdigit()
    return int(value[:100]) if digits else 0


def _is_too_large(value: Any) -> bool:
    return _number(value) > MAX_INTEGER


def _is_large(value: Any) -> bool:
    return _number(value) > _MAX_INTEGER_32
