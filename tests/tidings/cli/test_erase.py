"""`tidings erase`."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Mapped, mapped_column

from events import Base, transaction
from events.testing import Bus
from tests.tasks.builders import found, placed
from tests.tidings.cli.calls import WHY, audited, call, told


def test_erase_asks_first_and_does_nothing_without_a_yes(bus: Bus):
    order = placed()
    bus.drain()

    assert call("erase", "--email", "ada@example.org", *WHY, input="n\n").exit_code == 1
    assert found(order).email == "ada@example.org"
    assert "orders" in told("erase", "--email", "ADA@example.org ", "--yes", "--why", "a letter")
    assert found(order).email == "erased@erased.invalid"


def test_an_erasure_that_finds_nobody_says_so_fails_and_is_not_audited(bus: Bus):
    result = call("erase", "--email", "nobody@example.org", "--yes", *WHY)

    assert result.exit_code == 4
    assert result.stderr == "nothing is stored under this address; nobody was erased\n"
    assert audited() == []


def test_erase_refuses_while_an_order_is_open_and_says_which(bus: Bus, number: str):
    result = call("erase", "--email", "ada@example.org", "--yes", *WHY)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {number} of this customer has not ended; ")
    assert call("erase", "--email", "ada@example.org", "--yes", "--force", *WHY).exit_code == 0


def test_erase_wants_an_address(bus: Bus):
    assert call("erase", "--email", "ada", "--yes").exit_code == 2


def test_erase_takes_an_address_as_a_mail_client_writes_it_and_no_two(bus: Bus):
    order = placed()
    bus.drain()

    two = call("erase", "--email", "ada@example.org, bob@example.org", "--yes", *WHY)
    assert (two.exit_code, "give one address" in two.stderr) == (2, True)
    assert found(order).email == "ada@example.org"
    copied = '"ada@example.org" <mailto:Ada@example.org>'
    assert "orders" in told("erase", "--email", copied, "--yes", *WHY)
    assert found(order).email == "erased@erased.invalid"


@pytest.fixture
def table_without_eraser(bus: Bus) -> Iterator[type[Base]]:
    """A table of a service that stores the customer's address."""

    class Friend(Base):
        __tablename__ = "friends_of_this_test"

        email: Mapped[str] = mapped_column(primary_key=True)

    table = Base.metadata.tables["friends_of_this_test"]
    with transaction() as session:
        table.create(session.connection())
        session.add(Friend(email="ada@example.org"))
    yield Friend
    Base.metadata.remove(table)


def test_erase_says_how_a_table_without_an_eraser_gets_one(
    bus: Bus, table_without_eraser: type[Base]
):
    order = placed()
    bus.drain()

    result = call("erase", "--email", "ada@example.org", "--yes", *WHY)

    assert result.exit_code == 3
    where = f"friends_of_this_test.email ({__name__})"
    assert result.stderr.startswith(f"the address is still in {where}: no eraser covers that; ")
    assert "@register_eraser" in result.stderr
    assert "docs/how-to.md" in result.stderr
    assert found(order).email == "erased@erased.invalid"
