"""The lower case of texts in a database, which for ASCII is that of every locale.

In a Turkish locale PostgreSQL's `lower` makes a dotless i of I: of a person whose address was
written in capitals an erasure found nothing.
"""

from typing import Any

from sqlalchemy import SQLColumnExpression, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class lowered(FunctionElement[str]):  # noqa: N801 - it is written as a function
    """A text in lower case: ASCII in any case, other letters as the database knows them."""

    type = Text()
    inherit_cache = True

    def __init__(self, text: SQLColumnExpression[Any]) -> None:
        super().__init__(text)


@compiles(lowered)
def _lower(element: lowered, compiler: Any, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(lowered, "postgresql")
def _lower_ascii_first(element: lowered, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    return f'lower(lower({text} COLLATE "C") COLLATE "default")'
