"""Rows for PostgreSQL as one JSON text: one value to convert and one statement for any number.

With an array for each column, which psycopg converts in Python, an event took twice the CPU.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy import Dialect as DatabaseDialect
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from events.dialects import direct

_Convert = Callable[[Any], Any]


def insert(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, notify: str
) -> None:
    """Insert rows, which all have the same columns, and notify that channel, if any."""
    converters = _converters(table, connection.dialect)
    plain = [
        {
            name: converters[name](value) if name in converters else value
            for name, value in row.items()
        }
        for row in rows
    ]
    # Times and ids become what `str` makes of them, which PostgreSQL reads.
    values = {"rows": json.dumps(plain, default=str)}
    direct.fetch(connection, _statement(table, tuple(rows[0]), notify), values)


@cache
def _statement(table: Table, names: tuple[str, ...], notify: str) -> Any:
    columns = [table.c[name] for name in names]
    given = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
    # JSON is a text within it: `json_to_recordset` would refuse "\u0000", which JSON may hold.
    types = [Text() if _is_json(each.type) else each.type for each in columns]
    record = given.table_valued(*map(column, names, types)).render_derived(with_types=True)
    chosen = [
        cast(record.c[each.name], each.type) if _is_json(each.type) else record.c[each.name]
        for each in columns
    ]
    fixed = direct.fixed_defaults(table, names)
    inserted = postgresql.insert(table).from_select(
        [*names, *fixed], select(*chosen, *fixed.values())
    )
    return inserted.returning(func.pg_notify(notify, "")) if notify else inserted


def _is_json(kind: Any) -> bool:
    return isinstance(kind, JSON) or isinstance(getattr(kind, "impl", None), JSON)


@cache
def _converters(table: Table, dialect: DatabaseDialect) -> dict[str, _Convert]:
    found = {each.name: _converter(each.type, dialect) for each in table.c}
    return {name: convert for name, convert in found.items() if convert}


def _converter(kind: TypeEngine[Any], dialect: DatabaseDialect) -> _Convert | None:
    if not _is_json(kind):
        return kind.dialect_impl(dialect).bind_processor(dialect)
    if not isinstance(kind, TypeDecorator):
        return _dumps
    return lambda value: _dumps(kind.process_bind_param(value, dialect))


def _dumps(value: Any) -> str | None:
    return None if value is None else json.dumps(value)
