"""Draft the next migration: `make migration m="what it does"`."""

import sys
import tempfile
from pathlib import Path

from events import Database
from tidings import migrations


def main(message: str) -> None:
    """Compare the tables in the code with what the migrations make of an empty database, and write down what is missing."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'empty.sqlite'}")
        with database.writer.begin() as connection:
            migrations.upgrade(connection)
            drafted = migrations.draft(connection, message)
        database.close()
    for path in drafted:
        print(
            f"drafted {path.relative_to(Path.cwd())}; read it, then `make test` and `make format`"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        raise SystemExit('say what it does: make migration m="add loyalty points"')
    main(sys.argv[1])
