"""The role of the services on PostgreSQL: it reads and changes rows, and no tables.

The owner of the tables is another role, which only `tidings migrate` uses.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import ProgrammingError

from events import Base, TidingsError

_READ_ONLY = "alembic_version"
_NOT_PERMITTED = "42501"
_ROLE_EXISTS = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)")
_SEQUENCES = text("""
    SELECT sequence.relname FROM pg_class sequence
    JOIN pg_depend ON pg_depend.objid = sequence.oid AND pg_depend.deptype IN ('a', 'i')
    JOIN pg_class owner ON owner.oid = pg_depend.refobjid
    WHERE sequence.relkind = 'S' AND owner.relname = ANY(:tables)
    AND sequence.relnamespace = current_schema()::regnamespace
""")


_NOT_GRANTED = text("""
    SELECT relname FROM pg_class
    WHERE relname = ANY(:tables) AND relnamespace = current_schema()::regnamespace
    AND NOT has_table_privilege(:role, oid, 'INSERT')
""")


class NotPermitted(TidingsError):
    """The role may not do what the migration needs; nothing was changed."""


def grant_to_services(connection: Connection, services: URL) -> str | None:
    """Let the role of `services` change rows; return its name if it was made.

    A role that is missing is made with the password of `services`; that of an existing role stays.
    Nothing is done for the owner itself. Raises `NotPermitted`.
    """
    name = services.username or ""
    if not name:
        raise NotPermitted(
            "DATABASE_URL names no user, and DATABASE_OWNER_URL is set; name the user of the "
            "services in DATABASE_URL"
        )
    if name == connection.scalar(text("SELECT current_user")):
        return None
    made = not connection.scalar(_ROLE_EXISTS, {"name": name})
    if made:
        _make(connection, name, str(services.password or ""))
    _grant(connection, name)
    return name if made else None


def _make(connection: Connection, name: str, password: str) -> None:
    """Make the role. The server, and its log, get a hash of the password only."""
    driver: Any = connection.connection.dbapi_connection
    hashed = driver.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    with _permitted(
        f"the role {name!r} of DATABASE_URL is missing, and the owner may not make it: "
        f"run CREATE ROLE {_quoted(connection, name)} LOGIN PASSWORD '...' as an administrator"
    ):
        connection.exec_driver_sql(
            f"CREATE ROLE {_quoted(connection, name)} LOGIN PASSWORD '{hashed.decode()}'"
        )


def _grant(connection: Connection, name: str) -> None:
    known = set(inspect(connection).get_table_names())
    tables = sorted({table.name for table in Base.metadata.sorted_tables} & known)
    sequences = connection.scalars(_SEQUENCES, {"tables": tables}).all()
    schema = str(connection.scalar(text("SELECT current_schema()")))
    role = _quoted(connection, name)
    refusal = (
        f"the role of DATABASE_OWNER_URL may not grant to {name!r}: the tables belong to another "
        "role; name that one, or give it the tables with REASSIGN OWNED BY"
    )
    with _permitted(refusal):
        for rights, kind, objects in (
            ("USAGE", "SCHEMA", [schema]),
            ("SELECT, INSERT, UPDATE, DELETE", "TABLE", tables),
            ("SELECT", "TABLE", [_READ_ONLY]),
            ("SELECT, UPDATE, USAGE", "SEQUENCE", sequences),
        ):
            listed = _listed(connection, objects)
            connection.exec_driver_sql(f"GRANT {rights} ON {kind} {listed} TO {role}")
    # Who has a right without the right to grant it gets a warning only.
    if connection.scalar(_NOT_GRANTED, {"role": name, "tables": tables}):
        raise NotPermitted(f"{refusal}; nothing was changed")


def _listed(connection: Connection, names: Sequence[str]) -> str:
    return ", ".join(_quoted(connection, name) for name in names)


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


@contextmanager
def _permitted(otherwise: str) -> Iterator[None]:
    try:
        yield
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_PERMITTED:
            raise
        raise NotPermitted(f"{otherwise}; nothing was changed") from error
