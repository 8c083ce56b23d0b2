"""The rows that a transaction changes, found from its statements, whether of the ORM or not.

The keys of the rows are noted with each statement. At the end they are read twice: in the
transaction, and in another one, which sees what is committed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Table, TextClause, Update, event, func, select
from sqlalchemy.orm import Session

from events.dry_runs.outside import plain
from events.dry_runs.result import ColumnChange, RowChange

MAX_ROWS = 200  # that are listed
Key = tuple[Any, ...]
_DML = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "TRUNCATE", "DROP", "ALTER", "CREATE")


class RowRecorder:
    """A recorder of the rows that a session's transaction changes from now on."""

    def __init__(self, session: Session) -> None:
        self._connection = session.connection()
        self._keys: dict[Table, dict[Key, None]] = {}
        self._last: dict[Table, Any] = {}  # the highest number before, where the database gives it
        self._reading = False
        self.statements: list[str] = []
        event.listen(self._connection, "before_execute", self._before)
        event.listen(self._connection, "after_execute", self._after)
        event.listen(self._connection, "before_cursor_execute", self._raw)

    def changes(self, committed: Session) -> Iterator[tuple[Table, RowChange]]:
        """Return the rows that differ from those that `committed` sees."""
        self._reading = True
        for table, last in self._last.items():
            [column] = table.primary_key.columns
            for number in self._connection.scalars(select(column).where(column > last)):
                self._note(table, (number,))
        for table, keys in self._keys.items():
            for key in keys:
                now = _row(committed.connection(), table, key)
                then = _row(self._connection, table, key)
                if now != then:
                    yield table, _change(table, key, now, then)

    def _before(self, _: Connection, clause: Any, multi: Any, params: Any, options: Any) -> None:
        statement = _statement(clause)
        if self._reading or not isinstance(statement, Insert | Update | Delete):
            return
        table = _table(statement)
        self._reading = True
        try:
            if isinstance(statement, Insert):
                self._remember_last(table)
                return
            wanted = select(*table.primary_key.columns)
            if statement.whereclause is not None:
                wanted = wanted.where(statement.whereclause)
            for values in multi or [params or {}]:
                for key in self._connection.execute(wanted, values):
                    self._note(table, tuple(key))
        finally:
            self._reading = False

    def _remember_last(self, table: Table) -> None:
        if table.autoincrement_column is not None and table not in self._last:
            number = func.coalesce(func.max(table.autoincrement_column), 0)
            self._last[table] = self._connection.scalar(select(number))

    def _after(
        self, _: Connection, clause: Any, multi: Any, params: Any, options: Any, result: Any
    ) -> None:
        statement = _statement(clause)
        if self._reading or not isinstance(statement, Insert):
            return
        table = _table(statement)
        names = [column.key for column in table.primary_key.columns]
        found = [key for each in result.context.compiled_parameters for key in _keys(each, names)]
        for key in found:
            self._note(table, key)
        if not found and table not in self._last:
            self._note_statement(str(result.context.statement))

    def _raw(
        self, _: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        built = getattr(getattr(context, "compiled", None), "statement", None)
        is_text = built is None or isinstance(built, TextClause)
        if is_text and not self._reading and statement.lstrip().upper().startswith(_DML):
            self._note_statement(statement)

    def _note(self, table: Table, key: Key) -> None:
        self._keys.setdefault(table, {})[key] = None

    def _note_statement(self, statement: str) -> None:
        self.statements.append(" ".join(statement.split())[:1000])


def _statement(clause: Any) -> Any:
    """Return the statement itself of one whose rows the ORM turns into entities."""
    return getattr(clause, "element", clause)


def _table(statement: Insert | Update | Delete) -> Table:
    table = statement.table
    assert isinstance(table, Table), table
    return table.metadata.tables[table.key]  # the ORM has annotated it


def _keys(values: Mapping[str, Any], names: Sequence[str]) -> Iterator[Key]:
    """Return the keys in the parameters of an INSERT, of one row or of several."""
    if all(values.get(name) is not None for name in names):
        yield tuple(values[name] for name in names)
    index = 0
    while all(values.get(f"{name}_m{index}") is not None for name in names):
        yield tuple(values[f"{name}_m{index}"] for name in names)
        index += 1


def _row(connection: Connection, table: Table, key: Key) -> dict[str, Any] | None:
    parts = zip(table.primary_key.columns, key, strict=True)
    wanted = select(table).where(*(column == part for column, part in parts))
    row = connection.execute(wanted).mappings().first()
    return None if row is None else {name: plain(value) for name, value in row.items()}


def _change(
    table: Table, key: Key, now: dict[str, Any] | None, then: dict[str, Any] | None
) -> RowChange:
    before, after = now or {}, then or {}
    names = [name for name in (*after, *before) if before.get(name) != after.get(name)]
    return RowChange(
        table=table.name,
        key=plain(dict(zip(table.primary_key.columns.keys(), key, strict=True))),
        change="insert" if now is None else "delete" if then is None else "update",
        columns=[
            ColumnChange(name=name, now=before.get(name), then=after.get(name))
            for name in dict.fromkeys(names)
        ],
    )
