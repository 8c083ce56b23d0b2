"""The doctor's check of restores."""

from events import clock, reading, transaction
from events.admin import erasure
from events.admin.person import find
from events.testing import Bus
from tasks import restores
from tests.tasks.builders import placed, switched
from tests.tasks.test_doubts import forget_everything, restored
from tests.tidings.doctor.examined import examined
from tidings.doctor.findings import Finding


def about_restores() -> list[Finding]:
    return [each for each in examined() if each.part == "restore"]


def test_a_shop_that_was_never_restored_is_well(bus: Bus) -> None:
    placed()
    bus.drain()

    assert [each.level for each in about_restores()] == ["ok"]


def test_a_restore_is_a_problem_until_it_is_settled(bus: Bus) -> None:
    placed()
    bus.drain()
    restored()

    [found] = about_restores()
    assert found.level == "problem"
    assert f"restored at {clock.now():%Y-%m-%d}" in found.message
    assert "orders up to ORD-1001 may have been given before" in found.message
    assert "tidings doubts --settle --why REASON" in found.fix

    with transaction() as session:
        restores.settle(session, who="me", why="nothing was lost")
    assert [each.level for each in about_restores()] == ["ok"]


def test_doubts_are_counted_and_named(bus: Bus) -> None:
    placed()
    bus.drain()
    forget_everything()
    restored()

    _, found = about_restores()

    assert found.message.startswith("the gateways did 2 things (charge ch_")


def test_a_log_that_somebody_restored_by_hand_is_older_than_the_world(bus: Bus) -> None:
    placed()
    bus.drain()
    forget_everything()

    [found] = about_restores()

    assert found.level == "problem"
    assert found.message.startswith("the log is older than the world: the gateways did 2 things")
    assert found.fix == "stop everything; then run: tidings restore --by-hand"


def test_a_gateway_that_cannot_be_asked_is_unknown(bus: Bus) -> None:
    switched("payment", down=True)

    assert [
        (each.level, "payment sandbox is down" in each.message) for each in about_restores()
    ] == [("unknown", True)]


def test_the_address_of_a_person_is_redacted_in_the_reasons(bus: Bus) -> None:
    with transaction() as session:
        restores.record(session, last_key=5, who="me", why="for ada@example.org")
        restores.settle(session, who="me", why="told ada@example.org")

    with reading() as session:
        person = find(session, "ada@example.org")
    erasure.erase(person, who="me", why="a letter")

    with reading() as session:
        [row] = session.query(restores.Restore).all()
        assert "ada" not in row.why + str(row.settled_why)
