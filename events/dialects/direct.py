"""Statements of the hot path on psycopg's cursor: SQLAlchemy only compiles them, each once.

The look of a message took 325 µs of CPU by `Connection.execute`, and takes 130.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import psycopg
from sqlalchemy import Connection
from sqlalchemy import Dialect as DatabaseDialect

from events.dialects.dialect import all_rows

_Convert = Callable[[Any], Any]
_EVENTS = ("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute")


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement as text, its fixed values, and what converts its values and its columns."""

    text: bytes
    values: dict[str, Any]
    binds: Sequence[tuple[str, _Convert]]
    columns: Sequence[tuple[int, _Convert]]
    row: Callable[[Sequence[Any]], Any] | None  # `None`: it returns no rows


def fetch(connection: Connection, statement: Any, values: Mapping[str, Any]) -> Sequence[Any]:
    """Run a statement and return its rows; raise what `Connection.execute` would.

    Where somebody listens to the statements, such as a tracer or a dry run, it takes that way.
    """
    if any(getattr(connection.dispatch, each) for each in _EVENTS):
        return all_rows(connection, statement, values)
    compiled = _compile(statement, connection.dialect, tuple(values))
    if compiled is None:
        return all_rows(connection, statement, values)
    given = {**compiled.values, **values}
    for name, convert in compiled.binds:
        given[name] = convert(given[name])
    driver = cast(psycopg.Connection[Any], connection.connection.driver_connection)
    try:
        cursor = driver.execute(compiled.text, given)
        rows = [] if compiled.row is None else cursor.fetchall()
    except psycopg.Error as error:
        # SQLAlchemy's own way from here: it wraps the error, and gives up a lost connection.
        text = compiled.text.decode()
        connection._handle_dbapi_exception(error, text, given, None, None)
    return list(_converted(rows, compiled)) if rows else ()


def _converted(rows: Sequence[Sequence[Any]], compiled: _Compiled) -> Iterator[Any]:
    assert compiled.row is not None
    for row in rows:
        values = list(row)
        for index, convert in compiled.columns:
            values[index] = convert(values[index])
        yield compiled.row(values)


@lru_cache(maxsize=256)
def _compile(statement: Any, dialect: DatabaseDialect, names: tuple[str, ...]) -> _Compiled | None:
    compiled = statement.compile(dialect=dialect, column_keys=names)
    if any(getattr(compiled, each, ()) for each in ("insert_prefetch", "update_prefetch")):
        return None  # SQLAlchemy calls the defaults of its columns
    required = [name for bind, name in compiled.bind_names.items() if bind.required]
    expanded = compiled.construct_expanded_state(dict.fromkeys(required))
    binds = {
        name: bind.type.dialect_impl(dialect).bind_processor(dialect)
        for bind, name in compiled.bind_names.items()
        if not bind.expanding
    }
    columns = list(getattr(statement, "exported_columns", ()))  # a text has none
    results = [each.type.dialect_impl(dialect).result_processor(dialect, None) for each in columns]
    fields = [str(each.key) for each in columns]
    row: Any = namedtuple("Row", fields, rename=True)  # type: ignore[misc]  # fields are known late
    return _Compiled(
        expanded.statement.encode(),
        dict(expanded.parameters),
        [(name, convert) for name, convert in binds.items() if convert],
        [(index, convert) for index, convert in enumerate(results) if convert],
        row._make if fields else None,
    )
