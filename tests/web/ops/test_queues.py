"""/ops/queues: queues, processes and subscriptions."""

import json
import re
from typing import Any

from flask.testing import FlaskClient

from events import count_flush, counts, heartbeat, reading
from events.admin import subscriptions, worker_versions
from events.tables import QueueTrouble
from tests.tidings.cli.calls import answered, told
from tests.web.pages import OPS_HTML, audit_log, place_order, post, running_services
from tests.web.payloads import OPS
from web.security import MAX_MESSAGES


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


def test_messages_that_no_page_showed_never_outgrow_the_cookie(client: FlaskClient):
    client.application.config["WTF_CSRF_ENABLED"] = False
    with running_services():
        for number in range(MAX_MESSAGES + 3):
            answer = client.post(
                "/ops/views",
                data={"page": "events", "name": f"{number} " + "é" * 58, "reason": "x"}
                | {"q": "type:order.created"},
                headers=OPS,
            )
            assert answer.status_code == 303

    page = client.get("/ops", headers=OPS_HTML).text
    shown = [number for number in range(MAX_MESSAGES + 3) if f"The view {number} é" in page]
    assert shown == list(range(3, MAX_MESSAGES + 3))


def test_pausing_an_unknown_subscription_is_refused(client: FlaskClient):
    with running_services():
        assert (
            post(
                client, "/ops/queues", "/ops/queues/nobody.listens/pause", OPS, reason="x"
            ).status_code
            == 404
        )


def test_the_queues_page_shows_backlogs_and_workers(client: FlaskClient):
    heartbeat.beat("payment@box", "worker", ["payment"], version="<2.1>")
    with running_services() as bus:
        place_order(client)
        bus.send_due()
        page = client.get("/ops/queues", headers=OPS_HTML).text

    assert "payment@box" in page
    assert "&lt;2.1&gt;" in page
    [process] = client.get("/api/v1/processes", headers=OPS).json["processes"]
    [answered] = json.loads(told("processes", "--json"))
    for found in (process, answered):
        assert (found["name"], found["version"]) == ("payment@box", "<2.1>")
    assert "order.created" in page


def test_the_queues_page_and_the_api_name_a_refused_queue_with_its_fix(client: FlaskClient):
    full: QueueTrouble = {"reason": "is <full>", "fix": "start workers for it"}
    heartbeat.beat("relay@a", "relay", queue_troubles={"payment": full})

    page = client.get("/ops/queues", headers=OPS_HTML).text
    [queue] = client.get("/api/v1/queues", headers=OPS).json["queues"]

    assert "Is &lt;full&gt;." in page
    assert "To fix it: start workers for it." in page
    assert (queue["name"], queue["trouble"], queue["fix"]) == ("payment", *full.values())


def test_the_same_figures_are_on_the_page_in_the_api_and_in_the_command(client: FlaskClient):
    heartbeat.beat("payment@box", "worker", ["payment"], version="<2.4>")
    counts.reset()
    with running_services() as bus:
        place_order(client)
        bus.drain()
    count_flush.flush()
    place_order(client)

    page = client.get("/ops/queues", headers=OPS_HTML).text
    stats = client.get("/api/v1/stats", headers=OPS).json
    figures = answered("stats")

    payment, email = (_named(stats["queues"], name) for name in ("payment", "email"))
    charge = _named(payment["subscriptions"], "payment.charge_order")
    assert [charge[name] for name in ("handled", "failed", "waiting", "workers")] == [1, 0, 0, 1]
    assert 0 < charge["p50"] < charge["p95"] < charge["p99"]
    assert (payment["state"], payment["start"]) == ("ok", None)
    start = "celery -A tasks worker -Q email -n email@%h"
    assert (email["state"], email["start"]) == ("no worker", start)
    assert [point["handled"] for point in payment["history"]] == [payment["handled"]]
    assert (stats["unrelayed"], stats["relay_lag"] > 0) == (1, True)
    assert _named(figures["queues"], "payment")["handled"] == payment["handled"]
    assert {*figures["queues"][0]} == {*stats["queues"][0]} - {"trouble", "fix", "start"}
    assert {*charge} == {*_named(figures["queues"], "payment")["subscriptions"][0]}
    assert "highest p99 was" in page
    assert page.count('class="p95"') >= 2
    assert start in page
    assert "no worker</span>" in page


def test_each_queue_tells_since_when_its_workers_have_their_version(client: FlaskClient):
    worker_versions.record(["payment"], "2.3")
    worker_versions.record(["payment"], "<2.4>")
    heartbeat.beat("payment@box", "worker", ["payment"], version="<2.4>")
    counts.reset()
    with running_services() as bus:
        place_order(client)
        bus.drain()
    count_flush.flush()

    page = client.get("/ops/queues", headers=OPS_HTML).text
    queues = client.get("/api/v1/stats", headers=OPS).json["queues"]

    [replaced, version] = _named(queues, "payment")["versions"]
    assert (replaced["version"], replaced["workers"]) == ("2.3", 0)
    assert (version["version"], version["workers"]) == ("<2.4>", 1)
    assert _named(queues, "email")["versions"] == []
    assert _named(answered("stats")["queues"], "payment")["versions"][1]["version"] == "<2.4>"
    assert "workers of payment: <2.4> since " in told("stats")
    assert "<b>&lt;2.4&gt;</b> since" in page
    assert re.search("<b>2.3</b> since [^<]*, replaced", page)
    assert page.count('class="version"') == 2


def _named(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    [found] = [row for row in rows if row["name"] == name]
    return found
