"""The declarative base, the column types and the upserts that every table of the bus and of an application uses."""

from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    TypeDecorator,
    inspect,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in UTC, with its zone on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment without a zone, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; use events.clock.now()")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite forgets the zone; it was UTC."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


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
    type_annotation_map: ClassVar = {datetime: UTCDateTime, dict[str, Any]: JSON, list[str]: JSON}


BigIntPK = BigInteger().with_variant(Integer, "sqlite")


class PydanticType(TypeDecorator[Any]):
    """JSON in the database, the pydantic type `shape` in Python: `mapped_column(PydanticType(tuple[Line, ...]))`."""

    impl = JSON
    cache_ok = True

    def __init__(self, shape: Any) -> None:
        super().__init__(none_as_null=True)
        self.shape = shape
        self._adapter: TypeAdapter[Any] = TypeAdapter(shape)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """What JSON can hold."""
        return None if value is None else self._adapter.dump_python(value, mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The value as it was put in."""
        return None if value is None else self._adapter.validate_python(value)


Row = TypeVar("Row", bound=Base)


def insert_if_absent(session: Session, kind: type[Row], *rows: dict[str, Any]) -> None:
    """Insert those rows whose key is not there yet."""
    if not rows:
        return
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    session.execute(dialect.insert(kind).on_conflict_do_nothing(), list(rows))


def get_or_create_locked(session: Session, kind: type[Row], key: str, **values: Any) -> Row:
    """Return the row with this key, locked; if there is none, insert it with `values` first.

    Transactions that change the same row at the same time wait for each other, also if it does not
    exist yet: `session.get(...) or Kind(...)` would insert it twice on PostgreSQL.
    """
    session.flush()
    insert_if_absent(session, kind, {inspect(kind).primary_key[0].name: key, **values})
    return session.get_one(kind, key, with_for_update=True, populate_existing=True)
