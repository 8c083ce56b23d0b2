"""JSON that a person types into a field of a form."""

from typing import Any, TypeVar

from flask import request

from events.errors import InvalidPayload
from events.inputs import typed_json

_NAMES = {"dict": "object", "list": "array"}
MAX_LENGTH = 100_000  # characters

Json = TypeVar("Json", dict[str, Any], list[Any])


def parsed(typed: str, field: str, kind: type[Json]) -> Json:
    """Return what was typed. Raises `InvalidPayload`, which names the field."""
    if len(typed) > MAX_LENGTH:
        raise InvalidPayload([(field, f"write at most {MAX_LENGTH:,} characters")])
    try:
        data = typed_json(typed)
    except ValueError as error:
        raise InvalidPayload([(field, f"it {error}")]) from error
    if not isinstance(data, kind):
        raise InvalidPayload([(field, f"it is no JSON {_NAMES[kind.__name__]}")])
    return data


def is_applied(typed: str) -> bool:
    """Tell whether the form is sent to apply what its preview has shown, unchanged since."""
    previewed = request.form.get("previewed", typed)
    return "apply" in request.form and previewed.split() == typed.split()
