"""Values from HTML forms and page addresses, cleaned: one line, limited, no control characters."""

import re

from flask import request

from tasks.commands import CONTROL_CHARACTERS
from web.errors import FieldError, InvalidInput

MAX_LENGTH = 200
_CONTROL_CHARACTERS = re.compile(f"[{CONTROL_CHARACTERS}]+")


def text(name: str) -> str:
    """Return the form's field `name` on one line, empty if it is missing."""
    return _CONTROL_CHARACTERS.sub(" ", request.form.get(name, "")).strip()[:MAX_LENGTH]


def reason() -> str:
    """Return the operator's reason. Raises `InvalidInput` if it is missing."""
    value = text("reason")
    if not value:
        raise InvalidInput([FieldError("reason", "give a reason; it is written to the audit log")])
    return value


def before() -> int | None:
    """Return the key before which a page of a long list begins; a bad one means the first page."""
    key = request.args.get("before", type=int)
    return key if key and 0 < key < 2**63 else None
