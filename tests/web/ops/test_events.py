"""/ops/events: the event log and its events."""

from flask.testing import FlaskClient

from tests.web.pages import OPS_HTML, place_order, running_services


def test_the_log_of_events_is_filtered_by_type_and_subject(client: FlaskClient):
    with running_services() as bus:
        place_order(client)
        place_order(client)
        bus.drain()
    page = client.get("/ops/events?type=payment.charged&subject=ORD-1002", headers=OPS_HTML).text

    assert "<b>payment.charged</b>" in page
    assert "<b>order.created</b>" not in page
    assert "subject=ORD-1002" in page
    assert "subject=ORD-1001" not in page


CUSTOMER = "<i>Ada</i>"


def test_an_event_is_shown_with_its_origin_its_deliveries_and_the_cloudevent(client: FlaskClient):
    client.environ_base["HTTP_X_TENANT_ID"] = "acme"
    client.environ_base["HTTP_USER_AGENT"] = "<i>curl</i>"
    with running_services() as bus:
        place_order(client, name=CUSTOMER)
        bus.drain()
    listed = client.get("/ops/events?type=order.created", headers=OPS_HTML).text
    [link] = [line.split('"')[1] for line in listed.splitlines() if "<b>order.created</b>" in line]
    page = client.get(link, headers=OPS_HTML).text

    for shown in (
        "acme",
        "&lt;i&gt;curl&lt;/i&gt;",
        "127.0.0.1",
        "00-",
        "payment.charge_order",
        "&#34;specversion&#34;: &#34;1.0&#34;",
    ):
        assert shown in page, shown
    assert "inventory.reserved" in page
    assert "<i>" not in page
