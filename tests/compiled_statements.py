"""One compilation of each SQL statement for all databases that the tests of a process open.

An engine keeps the statements that it has compiled, and a test has engines of its own: without
this the tests of a process compile the same few hundred statements thousands of times.
"""

from typing import Any

from sqlalchemy.engine.base import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

_COMPILED: LRUCache[Any, Any] = LRUCache(5000)


def _what_it_compiles_by(dialect: DefaultDialect) -> tuple[object, ...]:
    """Return what of a dialect decides how it compiles."""
    return (
        type(dialect),
        dialect.paramstyle,
        dialect.server_version_info,
        dialect.max_identifier_length,
        dialect.default_schema_name,
        dialect.insert_returning,
        dialect.use_insertmanyvalues,
        dialect._json_serializer,
        dialect._json_deserializer,
    )


def _equal(self: DefaultDialect, other: object) -> bool:
    return self is other or (
        isinstance(other, DefaultDialect)
        and _what_it_compiles_by(self) == _what_it_compiles_by(other)
    )


def keep() -> None:
    """Let all engines of this process share what they compile.

    The key of a compiled statement holds the dialect, so equal dialects must compare as equal.
    """
    Engine._compiled_cache = property(lambda self: _COMPILED, lambda self, own: None)
    DefaultDialect.__eq__ = _equal
    DefaultDialect.__hash__ = lambda self: hash(type(self))
