"""What tests of the operators' pages share."""

import pytest
from flask.testing import FlaskClient

from events import Database, reading
from events.admin import dead_letters
from events.admin.dead_letters import Group
from tests.web.pages import place_order, running_services
from tests.worlds import Worlds


@pytest.fixture
def group(client: FlaskClient, database: Database, worlds: Worlds) -> Group:
    """A group of one dead letter."""

    def charge_in_vain() -> Group:
        with running_services() as bus:
            place_order(client, payment_token="tok_broken")
            for _ in range(12):
                bus.advance(600)
        with reading() as session:
            [found] = [each for each in dead_letters.groups(session) if each.queue == "payment"]
            return found

    return worlds.enter("a group of one", database, charge_in_vain)
