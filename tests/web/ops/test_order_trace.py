"""/ops/orders/<id>/trace, its API, and the list of stuck orders with what each waits for."""

import re

from flask.testing import FlaskClient

from events import heartbeat, transaction
from events.admin import subscriptions
from tests.web.pages import OPS_HTML, place_order, running_services
from tests.web.payloads import OPS


def test_dev(client: FlaskClient):
    with running_services() as bus:
        bus.clock._tick *= 20000
        address = place_order(client, payment_token="tok_flaky")
        bus.drain()
        path = address.partition("?")[0]
        page = client.get(f"/ops{path}/trace", headers=OPS_HTML)
        assert page.status_code == 200
        for _ in range(4):
            bus.advance(120)
        page = client.get(f"/ops{path}/trace", headers=OPS_HTML)
        import json
        print(json.dumps(client.get(f"/api/v1{path}/trace", headers=OPS).json, indent=1))
        from tests.tidings.cli.calls import told
        print(told("trace", "1001"))
        print(told("orders", "stuck"))
        from tests.web.pages import post
        address = place_order(client, payment_token="tok_broken")
        for _ in range(12): bus.advance(600)
        path = address.partition("?")[0]
        print(told("trace", "1002"))
        print(told("orders", "stuck"))
        post(client, f"/ops{path}?ask=cancel", f"/ops{path}/cancel", OPS, reason="gone")
        bus.drain()
        print(told("trace", "1002"))
        print(client.get("/ops/orders?state=stuck", headers=OPS_HTML).text[-3000:])
    assert 0
