"""Events: immutable, typed, versioned facts, and the upcasters from old versions to the newest."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from events.errors import CatalogError, UnknownEvent, UnknownFields

MAX_TYPE, MAX_SOURCE = 200, 100  # characters
MAX_VERSION = 2**31 - 1

_classes: dict[str, dict[int, type["Event"]]] = {}
_upcasters: dict[type["Event"], Callable[[Any], "Event"]] = {}


class Event(BaseModel):
    """A fact in the past tense. A subclass names its wire type, version and publisher:

    `class OrderCreated(Event, type="order.created", version=2, source="web")`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar[str] = ""
    version: ClassVar[int] = 0
    source: ClassVar[str] = ""

    def __init_subclass__(
        cls, *, type: str | None = None, version: int = 1, source: str = "", **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if type is None:  # an abstract class that only carries fields
            return
        _check_declaration(cls.__name__, type, version, source)
        cls.type, cls.version, cls.source = type, version, source
        versions = _classes.setdefault(type, {})
        known = versions.get(version)
        if known and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise CatalogError(
                f"{type} v{version} is both {known.__module__}.{known.__qualname__} and "
                f"{cls.__module__}.{cls.__qualname__}; raise the version of one"
            )
        versions[version] = cls


def _check_declaration(name: str, event_type: Any, version: Any, source: Any) -> None:
    """Refuse what the columns of the log cannot hold."""
    for word, value, most in (("type", event_type, MAX_TYPE), ("source", source, MAX_SOURCE)):
        if not (isinstance(value, str) and len(value) <= most and value.isprintable()):
            raise CatalogError(f"{name}: its {word} is no line of at most {most} characters")
    if not event_type:
        raise CatalogError(f"{name}: its type is empty; leave it out, or write one: order.created")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise CatalogError(f"{name}: version={version!r:.50}; count from 1")


Old = TypeVar("Old", bound=Event)
New = TypeVar("New", bound=Event)


def upcaster(
    old: type[Old], new: type[New]
) -> Callable[[Callable[[Old], New]], Callable[[Old], New]]:
    """Register the function that turns one stored version of an event into the next."""
    if old.type != new.type or new.version != old.version + 1:
        raise CatalogError(
            f"{old.__name__} to {new.__name__}: "
            "an upcaster leads from a version to the next of the same type"
        )

    def register(function: Callable[[Old], New]) -> Callable[[Old], New]:
        _upcasters[old] = function
        return function

    return register


def stored_as(event_type: str, version: int) -> type["Event"] | None:
    """Return the class of this version of an event type, if this process knows it."""
    return _classes.get(event_type, {}).get(version)


def newest(event_type: str) -> int | None:
    """Return the highest version of an event type that this process knows, if any."""
    return max(_classes.get(event_type, ()), default=None)


def decode(event_type: str, version: int, data: dict[str, Any]) -> Event:
    """Return the event in its newest version.

    Raises `UnknownEvent` if newer code wrote it, `CatalogError` if an upcaster is missing, or
    pydantic's `ValidationError` if the data does not fit.
    """
    found = stored_as(event_type, version)
    if found is None:
        raise UnknownEvent(event_type, version, newest(event_type))
    try:
        event = found.model_validate(data)
    except ValidationError as error:
        if unknown := _unknown_fields(error):
            raise UnknownFields(event_type, version, unknown) from None
        raise
    while event.version != newest(event_type):
        event = _required_upcaster(event.__class__)(event)
    return event


def _unknown_fields(error: ValidationError) -> list[str]:
    """Return the fields that newer code added, if nothing else is wrong."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    names = [".".join(map(str, each["loc"])) for each in found if each["type"] == "extra_forbidden"]
    return names if len(names) == len(found) else []


def _required_upcaster(event_class: type[Event]) -> Callable[[Any], Event]:
    function = upcaster_of(event_class)
    if function is None:
        version = event_class.version
        raise CatalogError(f"{event_class.type} v{version} has no upcaster to v{version + 1}")
    return function


def upcaster_of(event_class: type[Event]) -> Callable[[Any], Event] | None:
    """Return the function that turns events of this class into the next version, if any."""
    return _upcasters.get(event_class)


def known() -> list[type[Event]]:
    """Return all event classes of this process, every version, by type, whatever they lack."""
    return [
        found for _, versions in sorted(_classes.items()) for _, found in sorted(versions.items())
    ]


def catalog() -> Iterator[type[Event]]:
    """Return all event classes, every version, by type.

    Raises `CatalogError` if an old version has no upcaster.
    """
    for found in known():
        if found.version != newest(found.type):
            _required_upcaster(found)
        yield found
