"""/ops/queues: queues, processes and subscriptions."""

from flask.testing import FlaskClient

from events import heartbeat, reading
from events.admin import subscriptions
from events.tables import QueueTrouble
from tests.web.pages import OPS_HTML, audit_log, place_order, post, running_services
from tests.web.payloads import OPS


def test_a_subscription_is_paused_and_resumed_with_a_reason(client: FlaskClient):
    with running_services():
        paused = post(
            client,
            "/ops/queues",
            "/ops/queues/payment.charge_order/pause",
            OPS,
            reason="<b>bank</b> holiday",
        ).text
        resumed = post(
            client, "/ops/queues", "/ops/queues/payment.charge_order/resume", OPS, reason="over"
        ).text

    assert "by ada: &lt;b&gt;bank&lt;/b&gt; holiday" in paused
    assert "</svg> paused</span>" in paused
    assert "1 of 2 paused" in paused
    assert "</svg> paused</span>" not in resumed
    assert [act for _, act, _ in audit_log()] == ["resume", "pause"]
    with reading() as session:
        assert subscriptions.find(session, "payment.charge_order").paused_at is None


def test_pausing_an_unknown_subscription_is_refused(client: FlaskClient):
    with running_services():
        assert (
            post(
                client, "/ops/queues", "/ops/queues/nobody.listens/pause", OPS, reason="x"
            ).status_code
            == 404
        )


def test_the_queues_page_shows_backlogs_and_workers(client: FlaskClient):
    heartbeat.beat("payment@box", "worker", ["payment"])
    with running_services() as bus:
        place_order(client)
        bus.send_due()
        page = client.get("/ops/queues", headers=OPS_HTML).text

    assert "payment@box" in page
    assert "order.created" in page


def test_the_queues_page_and_the_api_name_a_refused_queue_with_its_fix(client: FlaskClient):
    full: QueueTrouble = {"reason": "is <full>", "fix": "start workers for it"}
    heartbeat.beat("relay@a", "relay", queue_troubles={"payment": full})

    page = client.get("/ops/queues", headers=OPS_HTML).text
    [queue] = client.get("/api/v1/queues", headers=OPS).json["queues"]

    assert "Is &lt;full&gt;." in page
    assert "To fix it: start workers for it." in page
    assert (queue["name"], queue["trouble"], queue["fix"]) == ("payment", *full.values())
