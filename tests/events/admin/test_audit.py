"""The audit of operators and customers."""

from events import Database, reading, transaction
from events.admin import audit


def test_the_audit_lists_the_latest_entries_first(any_database: Database) -> None:
    with transaction() as session:
        for number in range(5):
            audit.record(session, who="ada", action="replay", target=f"d-{number}", why="test")

    with reading() as session:
        assert [row.target for row in audit.listed(session, limit=2)] == ["d-4", "d-3"]
