r"""The syntax of a search: terms such as `type:order.created data.customer="Ada Example"`.

Each term is a name, a colon and a value. A value with spaces stands in double quotes, where `\"` is
a quote and `\\` a backslash. All terms must match, and every other character of a value is meant
as it is. A mistake is an error with the position of its first character.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic_core import PydanticCustomError

from events.inputs import PlainText
from events.moments import check_range, last_moment, moment

MAX_LENGTH = 1000  # characters of a query
MAX_TERMS = 20
_NAME = re.compile(r"[^\s:=\"]*")
_WORD = re.compile(r"[^\s\"]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"(?=\s|$)')
_ESCAPE = re.compile(r'\\(["\\])')
_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}|[0-9]{1,6}")
_text = PlainText(MAX_LENGTH, optional=True)

Rule = Callable[[str], Any]
EVENT_FIELDS: dict[str, Rule] = {
    "type": str,
    "subject": str,
    "id": UUID,
    "correlation": UUID,
    "tenant": str,
    "user": str,
    "since": moment,
    "until": last_moment,
    "error": str,
}
DEAD_LETTER_FIELDS: dict[str, Rule] = {
    **EVENT_FIELDS,
    "queue": str,
    "subscription": str,
    "fingerprint": str,
}
_REPEATABLE = ("error", "data")


@dataclass(frozen=True)
class Term:
    """One condition; `path` leads into the event's data, for the name `data`."""

    name: str
    value: Any
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Query:
    """The terms of a search, all of which must match."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def value(self, name: str) -> Any:
        """Return the value of the term with this name, `None` if there is none."""
        return next((each.value for each in self.terms if each.name == name), None)


def parse(text: str, fields: Mapping[str, Rule] = EVENT_FIELDS) -> Query:
    """Return the query that is written in `text`. Raises a `ValueError` that names the position."""
    terms: list[Term] = []
    positions: dict[str, int] = {}
    for position, name, value in _split(_text(text)):
        if len(terms) == MAX_TERMS:
            raise _mistake(position, f"write at most {MAX_TERMS} terms")
        term = _term(position, name, value, fields)
        if term.name not in _REPEATABLE and term.name in positions:
            raise _mistake(position, f"{name} is given twice")
        positions[term.name] = position
        terms.append(term)
    query = Query(tuple(terms))
    try:
        check_range(query.value("since"), query.value("until"))
    except ValueError as error:
        raise _mistake(positions["until"], str(error)) from None
    return query


def written(name: str, value: str) -> str:
    """Return a term as it is written in a query."""
    if value and not re.search(r'[\s"]', value):
        return f"{name}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}:"{escaped}"'


def _split(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the position of each term, counted from 1, its name and its value."""
    at = 0
    while (at := len(text) - len(text[at:].lstrip())) < len(text):
        name = _NAME.match(text, at)
        end = name.end() if name else at
        if not name or not name.group() or text[end : end + 1] not in (":", "="):
            word = text[at:].split(maxsplit=1)[0][:50]
            raise _mistake(
                at + 1,
                f"{word} has no name before it; write a name and a colon, such as "
                "subject:ORD-1042, and a value with spaces in double quotes",
            )
        quoted, word = text[end + 1 : end + 2] == '"', ""
        found = (_QUOTED if quoted else _WORD).match(text, end + 1)
        if found is None:
            raise _mistake(end + 2, _fault_of_value(name.group(), quoted=quoted))
        word = _ESCAPE.sub(r"\1", found.group(1)) if quoted else found.group()
        yield at + 1, name.group(), word
        at = found.end()
        if text[at : at + 1] == '"':
            raise _mistake(at + 1, "a quote stands inside a value; put the whole value in quotes")


def _fault_of_value(name: str, *, quoted: bool) -> str:
    if quoted:
        return f'the value of {name} needs one closing quote, and \\" for a quote inside'
    return f"{name} has no value"


def _term(position: int, name: str, value: str, fields: Mapping[str, Rule]) -> Term:
    if name.startswith("data."):
        return Term("data", value, _path(position, name))
    rule = fields.get(name)
    if rule is None:
        names = ", ".join([*fields, "data.PATH"])
        raise _mistake(position, f"{name[:50]} is nothing to search by; the names are {names}")
    try:
        return Term(name, rule(value))
    except ValueError as error:
        what = "write an id, such as 01a21d25-1618-73c5-a0e7-4ec27f337013"
        raise _mistake(position, f"{name}: {what if rule is UUID else error}") from None


def _path(position: int, name: str) -> tuple[str | int, ...]:
    steps = name.split(".")[1:]
    if not all(map(_STEP.fullmatch, steps)):
        raise _mistake(
            position,
            f"{name[:50]} is no path; write the names of fields, and the numbers of items from 0, "
            "with points between them, such as data.lines.0.sku",
        )
    return tuple(int(step) if step.isdigit() else step for step in steps)


def _mistake(position: int, what: str) -> PydanticCustomError:
    return PydanticCustomError(
        "query", "character {position}: {what}", {"position": position, "what": what}
    )
