"""The statements of code of an earlier schema: with all of its tables and columns, as they were."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, MetaData, Table, and_, select
from sqlalchemy.exc import SQLAlchemyError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def tables_of(connection: Connection) -> MetaData:
    """Return the tables of a database, as code of its schema knows them."""
    tables = MetaData()
    tables.reflect(connection)
    tables.remove(tables.tables["alembic_version"])
    return tables


def use(
    connection: Connection, tables: MetaData, number: int, *, unused: Collection[str] = ()
) -> None:
    """Insert a row with this number into each of these tables, read it, and update it.

    All that its code can name is named, but what is `unused` (`table`, `table.column`), and each
    text is as long as its column allows. Raises `AssertionError`.
    """
    for table in [each for each in tables.sorted_tables if each.name not in unused]:
        columns = [each for each in table.columns if str(each) not in unused]
        values = {each.name: value(each, number) for each in columns}
        key = and_(*(each == values[each.name] for each in table.primary_key))
        try:
            connection.execute(table.insert(), values)
            assert len(connection.execute(select(*columns).where(key)).all()) == 1
            connection.execute(table.update().where(key).values(values))
        except SQLAlchemyError as error:
            raise AssertionError(f"{_describe(table)}: {error.orig or error}") from error


def value(column: Column[Any], number: int) -> Any:
    """Return a value that is the same in each column of this type, so that references hold."""
    kind = column.type.python_type
    if kind is UUID:
        return UUID(int=number)
    if kind is str:
        return f"{number:0{getattr(column.type, 'length', None) or 100}}"
    if kind is datetime:
        return BEGIN + timedelta(days=number)
    return {bool: True, dict: {}, bytes: b""}.get(kind, number)


def _describe(table: Table) -> str:
    return f"code of the schema before cannot use table {table.name} any more"
