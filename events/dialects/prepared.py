"""Statements that are compiled before they run first, for the driver's cursor.

A process that forks can compile them once for all its children. To compile a handful, and to run
them by SQLAlchemy's sessions, costs each worker's parent 6 MB (docs/performance.md).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from events.dialects import DIALECTS, direct

_all: list["Prepared"] = []


class Prepared:
    """A statement of Core, with the names of all its values: parameters, and columns that it sets.

    It is made once, in a module.
    """

    def __init__(self, statement: Any, *names: str) -> None:
        self._statement, self._names = statement, names
        _all.append(self)

    def run(self, connection: Connection, **values: Any) -> Sequence[Any]:
        """Run it and return its rows; raise what `Connection.execute` would."""
        given = {name: values[name] for name in self._names}
        compiler = DIALECTS[connection.dialect.name].compiler
        return direct.fetch(connection, self._statement, given, by=compiler)

    def compile(self, dialect: str) -> None:
        """Compile it for the database of that name."""
        direct.compile_once(self._statement, DIALECTS[dialect].compiler, self._names)


def compile_all(dialect: str) -> None:
    """Compile all statements of imported modules for the database of that name."""
    for each in _all:
        each.compile(dialect)
