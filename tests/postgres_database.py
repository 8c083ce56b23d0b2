"""A PostgreSQL database that test after test uses: creating one takes longer than most tests."""

import psycopg
from sqlalchemy import URL

# Each change of a schema, a right or a setting leaves a row in one of these.
_CATALOGS = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_db_role_setting"),
    *("pg_default_acl", "pg_extension", "pg_index", "pg_namespace", "pg_policy", "pg_proc"),
    *("pg_sequence", "pg_trigger", "pg_type"),
)
_SCHEMA = " UNION ALL ".join(
    f"SELECT '{each}', count(*), max(xmin::text::bigint) FROM {each}" for each in _CATALOGS
)
_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTY = """
DO $$
DECLARE each regclass; filled boolean; names text;
BEGIN
    FOR each IN SELECT oid FROM pg_class
        WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', each) INTO filled;
        IF filled THEN names := concat_ws(', ', names, each); END IF;
    END LOOP;
    IF names IS NOT NULL THEN EXECUTE format('TRUNCATE %s CASCADE', names); END IF;
    PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence;
END $$
"""


class ReusedDatabase:
    """A copy of a template with tables: emptied after each test, and replaced if it was changed."""

    def __init__(self, server: URL, template: str, name: str) -> None:
        self.url = server.set(database=name)
        self._server, self._template, self._name = server, template, name
        self._made: list[tuple[object, ...]] = []

    def take(self) -> str:
        """Return the URL of the empty database, which is made if there is none."""
        if not self._made:
            with _connect(self._server) as admin:
                admin.execute(f"CREATE DATABASE {self._name} TEMPLATE {self._template}".encode())
            with _connect(self.url) as connection:
                self._made = _schema(connection)
        return self.url.render_as_string(hide_password=False)

    def release(self) -> None:
        """Empty it, or drop it if its schema is another."""
        with _connect(self.url) as connection:
            connection.execute(_OTHERS)
            if _schema(connection) == self._made:
                connection.execute(_EMPTY)
                self._made = _schema(connection)  # a table that is emptied gets a new file
                return
        self._made = []
        with _connect(self._server) as admin:
            admin.execute(f"DROP DATABASE {self._name} WITH (FORCE)".encode())


def _connect(url: URL) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


def _schema(connection: "psycopg.Connection[tuple[object, ...]]") -> list[tuple[object, ...]]:
    return connection.execute(_SCHEMA.encode()).fetchall()
