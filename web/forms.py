"""What a person typed into a form of ours, made fit to be kept: one line, of a length, free of control characters."""

import re

from flask import request

from web.errors import FieldError, InvalidInput

LONGEST = 200
_BARRED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


def typed(name: str) -> str:
    """What the form says under `name`, or nothing."""
    return _BARRED.sub(" ", request.form.get(name, "")).strip()[:LONGEST]


def reason() -> str:
    """Why an operator does it. Raises `InvalidInput` when that was left out."""
    said = typed("reason")
    if not said:
        raise InvalidInput([FieldError("reason", "say why; it goes into the audit log")])
    return said


def before() -> int | None:
    """Where a page of a long list begins: the key of the last row on the page before; anything else is the first page."""
    asked = request.args.get("before", type=int)
    return asked if asked and 0 < asked < 2**63 else None
