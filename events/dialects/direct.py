"""Statements of the hot path on the driver's cursor: SQLAlchemy only compiles them, each once.

On PostgreSQL the look of a message took 325 µs of CPU by `Connection.execute`, and takes 130.
"""

from collections import namedtuple
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from sqlalchemy import Connection, Table, literal
from sqlalchemy import Dialect as DatabaseDialect
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from events.dialects.dialect import all_rows

_Convert = Callable[[Any], Any]
NEEDS_TRANSACTION = "needs transaction"  # a key of a connection's `info`
_EVENTS = ("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute")


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement as text, its fixed values, and what converts its values and its columns."""

    text: bytes | str  # psycopg is quicker with bytes
    values: dict[str, Any]
    binds: Sequence[tuple[str, _Convert]]
    columns: Sequence[tuple[int, _Convert]]
    row: Callable[[Sequence[Any]], Any] | None  # `None`: it returns no rows


def fetch(
    connection: Connection,
    statement: Any,
    values: Mapping[str, Any],
    *,
    by: DatabaseDialect | None = None,
) -> Sequence[Any]:
    """Run a statement and return its rows; raise what `Connection.execute` would.

    It is compiled `by` that dialect, whose parameters must have names, or by the connection's.
    Where somebody listens to the statements, such as a tracer or a dry run, it takes that way.
    """
    compiled = _compiled_for(connection, statement, tuple(values), by)
    if compiled is None:
        return all_rows(connection, statement, values)
    given = _bound(compiled, values)
    driver = _driver(connection)
    try:
        cursor = driver.execute(compiled.text, given)
        rows = [] if compiled.row is None else cursor.fetchall()
    except _driver_error(connection) as error:
        raise_wrapped(connection, error, compiled.text, given)
    return list(_converted(rows, compiled)) if rows else ()


def execute_many(
    connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]], by: DatabaseDialect
) -> None:
    """Run a statement once for each of the rows, which all have the same names, as `fetch` does."""
    compiled = _compiled_for(connection, statement, tuple(rows[0]), by)
    if compiled is None:
        connection.execute(statement, rows)
        return
    given = [_bound(compiled, row) for row in rows]
    driver = _driver(connection)
    try:
        driver.executemany(compiled.text, given)
    except _driver_error(connection) as error:
        raise_wrapped(connection, error, compiled.text, given)


def _compiled_for(
    connection: Connection, statement: Any, names: tuple[str, ...], by: DatabaseDialect | None
) -> _Compiled | None:
    if any(getattr(connection.dispatch, each) for each in _EVENTS):
        return None
    return compile_once(statement, by or connection.dialect, names)


def _bound(compiled: _Compiled, values: Mapping[str, Any]) -> dict[str, Any]:
    given = {**compiled.values, **values}
    for name, convert in compiled.binds:
        given[name] = convert(given[name])
    return given


def _driver(connection: Connection) -> Any:
    """Return the driver's connection, in a transaction if its settings last for one only."""
    if NEEDS_TRANSACTION in connection.info and not connection.in_transaction():
        connection.begin()
    return connection.connection.driver_connection


def _driver_error(connection: Connection) -> type[Exception]:
    driver = connection.dialect.loaded_dbapi
    return driver.Error


def raise_wrapped(
    connection: Connection, error: Exception, statement: bytes | str, given: Any = None
) -> NoReturn:
    """Raise it SQLAlchemy's own way: it wraps the error, and gives up a lost connection."""
    text = statement if isinstance(statement, str) else statement.decode()
    connection._handle_dbapi_exception(error, text, given, None, None)


def _converted(rows: Sequence[Sequence[Any]], compiled: _Compiled) -> Iterator[Any]:
    assert compiled.row is not None
    for row in rows:
        values = list(row)
        for index, convert in compiled.columns:
            values[index] = convert(values[index])
        yield compiled.row(values)


@lru_cache(maxsize=256)
def compile_once(
    statement: Any, dialect: DatabaseDialect, names: tuple[str, ...]
) -> _Compiled | None:
    """Return a statement with values of these names; `None` if SQLAlchemy must run it itself."""
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
        expanded.statement.encode() if dialect.driver == "psycopg" else expanded.statement,
        dict(expanded.parameters),
        [(name, convert) for name, convert in binds.items() if convert],
        [(index, convert) for index, convert in enumerate(results) if convert],
        row._make if fields else None,
    )


def fixed_defaults(table: Table, names: Collection[str]) -> dict[str, Any]:
    """Return the defaults of the other columns, as literals of a statement that inserts rows."""
    return {
        each.name: literal(each.default.arg, each.type)
        for each in table.c
        if each.name not in names and isinstance(each.default, ScalarElementColumnDefault)
    }
