"""Values from HTML forms and page addresses, by the rules of `events.inputs`."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from flask import request

from events import inputs
from events.inputs import MAX_INTEGER, REASON, PlainText
from events.moments import check_range, last_moment, moment
from web.errors import FieldError, InvalidInput

T = TypeVar("T")


def checked(field: str, rule: Callable[[str], T], value: str) -> T:
    """Return the value by its rule. Raises `InvalidInput`, which names the field."""
    try:
        return rule(value)
    except ValueError as error:
        raise InvalidInput([FieldError(field, str(error))]) from error


def sent() -> Mapping[str, str]:
    """Return the fields of the form; its reason may also come as `why`, the word of the API."""
    fields = request.form.to_dict()
    return fields | {"reason": fields.get("reason") or fields.get("why", "")}


def optional_reason() -> str:
    """Return the reason on one line, empty if it is missing."""
    return checked("reason", REASON, sent()["reason"])


def reason() -> str:
    """Return the operator's reason. Raises `InvalidInput` if it is missing."""
    value = optional_reason()
    if not value:
        raise InvalidInput([FieldError("reason", "give a reason; it is written to the audit log")])
    return value


def argument(name: str) -> str:
    """Return the value of a filter in the page's address, empty if it is missing."""
    return checked(name, PlainText(300, optional=True), request.args.get(name, ""))


def time_range(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the first moment of a range and the first one after it.

    Raises `InvalidInput` for a text of another form, and for a range in which no moment lies.
    """
    first = checked("since", moment, since) if since else None
    end = checked("until", last_moment, until) if until else None
    try:
        check_range(first, end)
    except ValueError as error:
        raise InvalidInput([FieldError("until", str(error))]) from None
    return first, end


def stored(name: str, value: str) -> str:
    """Return a value of the ledger as it is stored. Raises `InvalidInput` if none can be."""
    if "\0" in value:  # PostgreSQL cannot even look for it
        raise InvalidInput([FieldError(name, "remove the character U+0000")])
    return value[:520]


def integer(name: str, lowest: int, highest: int) -> int:
    """Return the form's field `name` as a number. Raises `InvalidInput`."""
    message = f"give a whole number from {lowest} to {highest}"
    try:
        number = inputs.integer(request.form.get(name, ""))
    except ValueError as error:
        raise InvalidInput([FieldError(name, message)]) from error
    if not lowest <= number <= highest:
        raise InvalidInput([FieldError(name, message)])
    return number


def before() -> int | None:
    """Return the key before which a page of a long list begins; a bad one means the first page."""
    try:
        key = inputs.integer(request.args.get("before", ""))
    except ValueError:
        return None
    return key if 0 < key <= MAX_INTEGER else None
