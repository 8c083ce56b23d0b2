"""/ops: the overview."""

import re

from flask.testing import FlaskClient

from events import heartbeat
from events.admin import dead_letters
from events.tables import QueueTrouble
from tests.web.pages import OPS_HTML, place_order, running_services


def test_the_overview_warns_when_nothing_can_be_processed(client: FlaskClient):
    with running_services() as bus:
        place_order(client)
        before = client.get("/ops", headers=OPS_HTML).text
        heartbeat.beat("relay@a", "relay", trouble="connection refused")
        bus.send_due()
        after = client.get("/ops", headers=OPS_HTML).text

    assert "No relay is alive" in before
    assert "relay@a cannot reach the broker" in after
    assert "connection refused. Orders are accepted and saved, but not processed." in after
    assert (
        "Queue payment has no worker</a></h3>\n            <p>1 delivery is waiting in it." in after
    )
    assert "celery -A tasks worker -Q payment -n payment@%h" in after


def test_the_overview_names_a_refused_queue_with_its_fix_and_does_not_blame_the_broker(
    client: FlaskClient,
):
    full: QueueTrouble = {"reason": "is full", "fix": "start workers for it"}
    heartbeat.beat("relay@a", "relay", queue_troubles={"payment": full})
    page = client.get("/ops", headers=OPS_HTML).text
    heartbeat.beat("relay@a", "relay", trouble="RabbitMQ accepts no messages", blocked=True)
    blocked = client.get("/ops", headers=OPS_HTML).text

    assert "Queue payment is full</a></h3>\n            <p>To fix it: start workers for it." in page
    assert "cannot reach the broker" not in page + blocked
    assert "relay@a can send nothing</h3>\n            <p>RabbitMQ accepts no messages." in blocked


def test_the_overview_reports_no_problems_while_there_are_none(client: FlaskClient):
    heartbeat.beat("relay@a", "relay")

    assert "No problems" in client.get("/ops", headers=OPS_HTML).text


def test_the_overview_names_dead_letters_and_stuck_orders(
    client: FlaskClient,
):
    heartbeat.beat("relay@a", "relay")
    with running_services() as bus:
        place_order(client, payment_token="tok_broken")
        for _ in range(12):
            bus.advance(600)
        dead = client.get("/ops", headers=OPS_HTML).text
        dead_letters.discard(who="ada", why="test", everything=True)
        stuck = client.get("/ops", headers=OPS_HTML).text

    assert "No problems" not in dead
    assert "1 delivery of payment.charge_order died" in dead
    assert "stuck" not in dead
    assert "No problems" not in stuck
    assert "1 order is stuck" in stuck
    assert re.search(r'<a class="nowrap" href="/ops/orders/\S+">ORD-1001</a>', stuck)
