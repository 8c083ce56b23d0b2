"""Invalid messages: stored with their raw body until an operator discards them."""

import pytest

from events import Database, reading, transaction
from events.admin import audit, invalid_messages
from events.admin.invalid_messages import UnknownInvalidMessage


def store(**changes: object) -> None:
    """Store an invalid message with these changes to the usual one."""
    values = {
        "queue": "notes",
        "reason": "undecodable",
        "error": "E",
        "headers": "{}",
        "body": b"\x00\xff",
    } | changes
    with transaction() as session:
        invalid_messages.keep(session, **values)  # type: ignore[arg-type]


def test_an_invalid_message_is_stored_with_its_raw_body_until_it_is_discarded(
    any_database: Database,
) -> None:
    store()
    store(body=b"second")
    with reading() as session:
        newest, oldest = invalid_messages.listed(session)
    assert (newest.body, oldest.body, oldest.queue) == (b"second", b"\x00\xff", "notes")

    with transaction() as session:
        invalid_messages.discard(session, oldest.id, who="ada", why="a scanner")
    with reading() as session:
        assert [row.id for row in invalid_messages.listed(session)] == [newest.id]
        assert invalid_messages.count(session) == 1
        assert [(row.who, row.target, row.why) for row in audit.listed(session)] == [
            ("ada", f"invalid message {oldest.id}", "a scanner")
        ]


def test_an_unknown_invalid_message_cannot_be_discarded(any_database: Database) -> None:
    with transaction() as session, pytest.raises(UnknownInvalidMessage):
        invalid_messages.discard(session, 404, who="ada", why="test")


@pytest.mark.parametrize("name", ["queue", "reason", "error", "headers"])
def test_an_invalid_message_is_stored_whatever_it_contains(
    name: str, any_database: Database
) -> None:
    for value in ("NUL \x00", "half a character \ud83d", "x" * 100_000, "\x00" * 1000, ""):
        store(**{name: value})

    with reading() as session:
        assert len(invalid_messages.listed(session)) == 5
