"""A column that holds a value of the catalog as JSON."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import JSON, Dialect, TypeDecorator


class Shaped(TypeDecorator[Any]):
    """JSON in the database, the pydantic type `shape` in Python: `mapped_column(Shaped(tuple[Line, ...]))`."""

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
