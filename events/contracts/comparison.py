"""The comparison of two JSON Schemas of one version of an event: what changed, what breaks.

While a new version of the code is deployed, old workers read what new ones write, and the log keeps
what old ones wrote. So a change is compatible only if it changes nothing for either:

change                                      verdict
a field that may be left out is added       compatible: an older worker leaves the event to a newer
a required field may be left out            compatible
titles, descriptions, names of classes      compatible
any other, such as a field that is removed, breaking: it needs a version of its own, with an
required, renamed or of another type        upcaster
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from events.contracts.files import Schema

_ANNOTATIONS = {"title", "description", "examples", "deprecated", "$comment", "$schema", "$defs"}
_ANNOTATIONS |= {"x-event", "readOnly", "writeOnly"}
_OBJECTS = {"properties", "required"}
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_NESTED = ("items", "additionalProperties", "patternProperties", "propertyNames")
_BRANCHES = {"discriminator"}  # its branches are compared
_COMPARED = _ANNOTATIONS | _OBJECTS | {*_LISTS, *_NESTED} | _BRANCHES | {"default", "$ref"}
_ABSENT = object()


@dataclass(frozen=True)
class Change:
    """One difference: the path of the field, what happened to it, and whether it breaks."""

    path: str
    what: str
    breaking: bool

    def __str__(self) -> str:
        return f"{self.path} {self.what}" if self.path else self.what


def compare(old: Schema, new: Schema) -> list[Change]:
    """Return what changed from `old` to `new`, the schemas of one event and version."""
    found = list(_Comparison(old, new).of(old, new, ""))
    if not found and old != new:
        return [Change("", "its description changed", breaking=False)]
    return found


class _Comparison:
    """The comparison of two documents, whose definitions it follows."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str]] = set()  # definitions may contain themselves

    def of(self, old: Schema, new: Schema, path: str, *, union: bool = False) -> Iterator[Change]:
        """Yield the changes of one schema; in a `union` not even a field may be added."""
        pair = str(old.get("$ref")), str(new.get("$ref"))
        if "$ref" in old or "$ref" in new:
            if pair in self._seen:
                return
            self._seen.add(pair)
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        yield from self._fields(old, new, path, union=union)
        for keyword in _LISTS:
            yield from self._branches(keyword, old, new, path)
        for keyword in _NESTED:
            yield from self._below(keyword, old, new, path, union=union)
        for keyword in sorted((old.keys() | new.keys()) - _COMPARED):
            yield from _unlike(keyword, old, new, path)
        if "default" in old and "default" in new:
            yield from _unlike("default", old, new, path)
        self._seen.discard(pair)

    def _fields(self, old: Schema, new: Schema, path: str, *, union: bool) -> Iterator[Change]:
        fields: Schema = old.get("properties", {})
        others: Schema = new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in fields.keys() - others.keys():
            why = "was removed or renamed: the log holds events with it"
            yield Change(_join(path, name), why, breaking=True)
        for name in others.keys() - fields.keys():
            if name in needs:
                why = "was added without a default: the log holds events without it"
                yield Change(_join(path, name), why, breaking=True)
            else:
                yield Change(_join(path, name), "was added and may be left out", breaking=union)
        for name in fields.keys() & others.keys():
            below = _join(path, name)
            if name in needs - needed:
                why = "is required now: the log may hold events without it"
                yield Change(below, why, breaking=True)
            elif name in needed - needs:
                yield Change(below, "may be left out now", breaking=False)
            yield from self.of(fields[name], others[name], below, union=union)

    def _branches(self, keyword: str, old: Schema, new: Schema, path: str) -> Iterator[Change]:
        was, now = old.get(keyword, []), new.get(keyword, [])
        if len(was) != len(now):
            why = f"allows {_named(self._new, new)} instead of {_named(self._old, old)}"
            yield Change(path, why, breaking=True)
            return
        union = sum(each.get("type") != "null" for each in now) > 1
        for before, after in zip(was, now, strict=True):
            yield from self.of(before, after, path, union=union)

    def _below(
        self, keyword: str, old: Schema, new: Schema, path: str, *, union: bool
    ) -> Iterator[Change]:
        before, after = old.get(keyword, True), new.get(keyword, True)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self.of(before, after, f"{path}[]", union=union)
        elif before != after:
            yield from _unlike(keyword, old, new, path)


def _resolved(document: Schema, schema: Schema) -> Schema:
    """Return the definition that a schema refers to, with what stands beside the reference."""
    while "$ref" in schema:
        found = document["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = found | {name: value for name, value in schema.items() if name != "$ref"}
    return schema


def _unlike(keyword: str, old: Schema, new: Schema, path: str) -> Iterator[Change]:
    before, after = old.get(keyword, _ABSENT), new.get(keyword, _ABSENT)
    if before != after:
        what = f"has {keyword} {_shown(after)} instead of {_shown(before)}"
        yield Change(path, what, breaking=True)


def _shown(value: Any) -> str:
    return "unset" if value is _ABSENT else f"{value!r}"[:80]


def _named(document: Schema, schema: Schema) -> str:
    """Return the types that a schema allows, in words."""
    branches = [each for keyword in _LISTS for each in schema.get(keyword, [])] or [schema]
    names = [_resolved(document, each) for each in branches]
    return " or ".join(str(each.get("title", each.get("type", "any"))) for each in names)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
