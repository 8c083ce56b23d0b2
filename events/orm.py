"""The declarative base, column types and upserts for the tables of the bus and of applications."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Integer,
    MetaData,
    Table,
    TypeDecorator,
    select,
)
from sqlalchemy import Dialect as DatabaseDialect
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

from events import gathered
from events.dialects import DIALECTS, dialect_of, fetch


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in UTC, with its zone on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: datetime | None, dialect: DatabaseDialect
    ) -> datetime | None:
        """Refuse a moment without a zone, store UTC. Raises `ValueError`."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; use events.clock.now()")
        return value.astimezone(UTC)

    def process_result_value(
        self, value: datetime | None, dialect: DatabaseDialect
    ) -> datetime | None:
        """Add the zone that SQLite does not store."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class PydanticType(TypeDecorator[Any]):
    """JSON in the database, a pydantic type in Python: `mapped_column(PydanticType(Address))`."""

    impl = JSON
    cache_ok = True

    def __init__(self, annotation: Any) -> None:
        super().__init__(none_as_null=True)
        self.annotation = annotation
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def process_bind_param(self, value: Any, dialect: DatabaseDialect) -> Any:
        """Turn the value into what JSON can hold."""
        return None if value is None else self._adapter.dump_python(value, mode="json")

    def process_result_value(self, value: Any, dialect: DatabaseDialect) -> Any:
        """Turn JSON into the value. Raises pydantic's `ValidationError`."""
        return None if value is None else self._adapter.validate_python(value)


BigIntPK = BigInteger().with_variant(Integer, "sqlite")
BigInt = Annotated[int, mapped_column(BigInteger)]  # amounts and counts pass 32 bits


class Base(DeclarativeBase):
    """All tables, the bus's and the application's, so that one transaction spans them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UTCDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
    }


AnyRow = TypeVar("AnyRow", bound=Base)


def insert_if_absent(
    session: Session, kind: type[AnyRow], *rows: dict[str, Any], later: bool = False
) -> None:
    """Insert those rows whose key is not there yet.

    With `later` they are inserted with those of the whole batch, when all its handlers have run:
    one statement for a hundred rows, which no statement of these handlers sees.
    """
    if rows:
        statement = _insert_missing(dialect_of(session).name, kind)
        _execute(session, statement, rows, later=later)


def _execute(
    session: Session, statement: Any, rows: Sequence[dict[str, Any]], *, later: bool
) -> None:
    if later:
        gathered.execute_later(session, statement, rows)
    else:
        session.flush()
        if len(rows) == 1:
            fetch(session.connection(), statement, rows[0])
        else:
            session.execute(statement, list(rows))


@cache
def _insert_missing(dialect: str, kind: type[Base]) -> Any:
    return DIALECTS[dialect].insert(table_of(kind)).on_conflict_do_nothing()


def upsert(
    session: Session, kind: type[AnyRow], *rows: dict[str, Any], later: bool = False
) -> None:
    """Insert rows, or write their values over those of the rows with their keys.

    `later` is that of `insert_if_absent`.
    """
    if rows:
        statement = _insert_or_overwrite(dialect_of(session).name, kind, tuple(rows[0]))
        _execute(session, statement, rows, later=later)


@cache
def _insert_or_overwrite(dialect: str, kind: type[Base], columns: tuple[str, ...]) -> Any:
    table = table_of(kind)
    key = list(table.primary_key)
    row = DIALECTS[dialect].insert(table)
    values = {each: row.excluded[each] for each in columns if table.c[each] not in key}
    return row.on_conflict_do_update(index_elements=key, set_=values)


@cache
def _insert_or_lock(dialect: str, kind: type[Base]) -> Any:
    """Insert a row, or lock the one with its key by an update that changes nothing; return it."""
    table = table_of(kind)
    [key] = table.primary_key
    row = DIALECTS[dialect].insert(table)
    locked = row.on_conflict_do_update(index_elements=[key], set_={key.name: key})
    return locked.returning(*table.columns)


@cache
def _get_or_create(dialect: str, kind: type[Base]) -> Any:
    statement = select(kind).from_statement(_insert_or_lock(dialect, kind))
    return statement.execution_options(populate_existing=True)


def table_of(kind: type[Base]) -> Table:
    """Return the table of a class: a statement on it costs less than one of the ORM."""
    return kind.metadata.tables[kind.__tablename__]


def get_or_create_locked(session: Session, kind: type[AnyRow], key: str, **values: Any) -> AnyRow:
    """Return the row with this key, locked; if there is none, insert it with `values` first.

    Transactions that change the same row at the same time wait for each other, also if it does not
    exist yet: `session.get(...) or Kind(...)` would insert it twice on PostgreSQL.
    """
    session.flush()
    row = _keyed(kind, key, values)
    found: AnyRow = session.scalars(_get_or_create(dialect_of(session).name, kind), row).one()
    return found


def insert_or_lock(session: Session, kind: type[Base], key: str, **values: Any) -> Any:
    """Return the row as `get_or_create_locked` does, as plain values: in half of the time."""
    session.flush()
    row = _keyed(kind, key, values)
    statement = _insert_or_lock(dialect_of(session).name, kind)
    [found] = fetch(session.connection(), statement, row)
    return found


def _keyed(kind: type[Base], key: str, values: dict[str, Any]) -> dict[str, Any]:
    [column] = table_of(kind).primary_key
    return {column.name: key, **values}
