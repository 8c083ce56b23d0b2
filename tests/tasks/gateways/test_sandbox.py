"""The switches of the sandbox gateways."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from events import Database, reading, transaction
from tasks.gateways import NAMES, is_down, sandbox_switch
from tests.tasks.builders import switched


@pytest.mark.parametrize("name", NAMES)
def test_a_gateway_is_broken_and_mended_for_every_process(
    any_database: Database, name: str
) -> None:
    other = Database(any_database.url.render_as_string(hide_password=False))
    for down in (True, True, False):
        switched(name, down=down)
        with other.reading() as session:
            assert is_down(session, name) is down
    other.close()


def test_a_gateway_that_was_never_switched_is_up(database: Database) -> None:
    with reading() as session:
        assert not is_down(session, "payment")


def test_a_switch_that_does_not_exist_is_refused_with_those_that_do(database: Database) -> None:
    with (
        pytest.raises(ValueError, match="no gateway 'paypal'; there are: payment, shipping, email"),
        transaction() as session,
    ):
        sandbox_switch(session, "paypal", down=True)


def test_processes_that_switch_a_gateway_at_once_do_not_fail(any_database: Database) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: switched("payment", down=True), range(12)))
    with reading() as session:
        assert is_down(session, "payment")
