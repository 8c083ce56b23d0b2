"""The check of the database's encoding: it must store what a customer may type."""

from sqlalchemy import Connection, text

from events import TidingsError

FIX = (
    "make a database with CREATE DATABASE tidings ENCODING 'UTF8' TEMPLATE template0, "
    "and name it in DATABASE_URL"
)


class WrongEncoding(TidingsError):
    """The database has an encoding other than UTF-8; nothing was changed."""


def encoding_of(connection: Connection) -> str:
    """Return the encoding of the database; SQLite stores all of Unicode in any case."""
    if connection.dialect.name == "sqlite":
        return "UTF8"
    return str(connection.scalar(text("SHOW server_encoding")))


def refuse_other_encodings(connection: Connection) -> None:
    """Raise `WrongEncoding` unless the database stores all of Unicode."""
    encoding = encoding_of(connection)
    if encoding != "UTF8":
        raise WrongEncoding(
            f"the database has the encoding {encoding}, which cannot store every name; "
            f"nothing was changed. {FIX[0].upper()}{FIX[1:]}"
        )
