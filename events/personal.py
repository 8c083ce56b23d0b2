"""Personal data: the fields of an event that describe a person, and the placeholders for them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

ERASED = "erased"
ERASED_EMAIL = "erased@erased.invalid"  # RFC 2606: no mail is ever delivered to this domain


@dataclass(frozen=True)
class Personal:
    """Marker of a personal field, with the placeholder after erasure: a valid value of the field.

    A person is found by a field that `identifies`. The value of a `searchable` field is searched
    for in messages of unknown shape.
    """

    placeholder: str = ERASED
    identifies: bool = False
    searchable: bool = False


PersonalText = Annotated[str, Personal()]
PersonalName = Annotated[str, Personal(searchable=True)]
PersonalEmail = Annotated[str, Personal(ERASED_EMAIL, identifies=True, searchable=True)]

Change = Callable[[Personal, str], str]


def erased(model: type[BaseModel], data: dict[str, Any]) -> dict[str, Any]:
    """Return the model's data with placeholders for personal values; empty values stay empty."""
    return _model(model, data, lambda marker, _: marker.placeholder)


def personal_values(model: type[BaseModel], data: dict[str, Any]) -> Iterator[tuple[Personal, str]]:
    """Yield the personal values in the model's data, each with its marker."""
    found: list[tuple[Personal, str]] = []

    def note(marker: Personal, value: str) -> str:
        found.append((marker, value))
        return value

    _model(model, data, note)
    return iter(found)


def _model(model: type[BaseModel], data: dict[str, Any], change: Change) -> dict[str, Any]:
    fields = {name: field for name, field in model.model_fields.items() if name in data}
    return data | {
        name: _value(field.annotation, field.metadata, data[name], change)
        for name, field in fields.items()
    }


def _value(kind: Any, metadata: Any, value: Any, change: Change) -> Any:
    for marker in metadata:
        if isinstance(marker, Personal) and isinstance(value, str):
            return change(marker, value) if value else value
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _model(kind, value, change) if isinstance(value, dict) else value
    return _within(get_origin(kind), get_args(kind), value, change)


def _within(origin: Any, parts: tuple[Any, ...], value: Any, change: Change) -> Any:
    """Change a value of a type made of other types: a union, a list, a mapping."""
    if origin is Annotated:
        return _value(parts[0], parts[1:], value, change)
    if origin in (Union, UnionType):
        for part in parts:
            value = _value(part, (), value, change)
    elif isinstance(value, list) and parts:
        return [_value(parts[0], (), each, change) for each in value]
    elif isinstance(value, dict) and len(parts) == 2:
        return {key: _value(parts[1], (), each, change) for key, each in value.items()}
    return value
