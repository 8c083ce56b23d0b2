"""Draft the next migration: `make migration m="add loyalty points"`."""

import sys
import tempfile
from pathlib import Path

from events import Database
from tidings import migrations


def main(message: str) -> None:
    """Compare the tables in the code with a migrated empty database, and write the difference."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'empty.sqlite'}")
        with database.writer.begin() as connection:
            migrations.upgrade(connection)
            drafted = migrations.draft(connection, message)
        database.close()
    for path in drafted:
        name = path.relative_to(Path.cwd())
        print(f"drafted {name}; read it, then run `make check` and `make test`")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        raise SystemExit('describe the migration: make migration m="add loyalty points"')
    main(sys.argv[1])
