"""The account of the invalid messages of a run."""

from events import Database, transaction
from events.admin import invalid_messages
from tidings.chaos.invalid_messages import InvalidMessages


def store() -> None:
    with transaction() as session:
        invalid_messages.keep(
            session, queue="payment", reason="not a task", error="", headers="{}", body=b"5"
        )


def test_a_message_that_is_missing_without_a_fault_is_a_breach(database: Database):
    account = InvalidMessages()
    account.put = 3
    store()
    store()

    assert list(account.missing()) == [
        "3 invalid messages were put and 2 are stored, but faults may have lost 0 at most"
    ]
    store()
    assert list(account.missing()) == []


def test_a_fault_may_lose_only_what_is_not_stored_when_it_comes(database: Database):
    account = InvalidMessages()
    account.put = 2
    store()
    account.may_be_lost()
    assert list(account.missing()) == []

    account.put = 4  # later, so no fault excuses the loss of one of these
    assert len(list(account.missing())) == 1
    store()
    store()
    account.may_be_lost()
    assert list(account.missing()) == []
