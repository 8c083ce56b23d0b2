"""Links both ways between the deliveries of a batch and their task in Flower."""

import json
from urllib.parse import unquote

import pytest
from flask.testing import FlaskClient

from events import reading
from events.admin import task_messages
from tests.tidings.cli.calls import call
from tests.web.pages import OPS_HTML, place_order, running_services

NAME = "payment.charge_order"


@pytest.fixture(autouse=True)
def _flower(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("FLOWER_URL", "https://flower.example")


def test_each_delivery_of_a_batch_leads_to_its_task_and_the_task_to_each(client: FlaskClient):
    cards = ("tok_ok", "tok_flaky", "tok_broken")
    with running_services() as bus:
        paths = [place_order(client, payment_token=card).partition("?")[0] for card in cards]
        bus.drain()
        [first, second, third] = [row for row in bus.deliveries() if row.subscription == NAME]
        task = f"{first.id}:1"
        page = client.get(f"/ops/tasks/{task}", headers=OPS_HTML).text
        link = f'href="https://flower.example/task/{task}"'
        event = client.get(f"/ops/events/{second.event_id}", headers=OPS_HTML).text
        story = client.get(f"/ops{paths[2]}", headers=OPS_HTML).text
        for _ in range(12):
            bus.advance(600)
        later = client.get(f"/ops/tasks/{task}", headers=OPS_HTML).text
        delivery = client.get(f"/ops/dead-letters/{third.id}", headers=OPS_HTML).text
        found = client.get("/ops/find", query_string={"q": task}, headers=OPS_HTML).location

    assert f"3 deliveries of {NAME}" in page
    for number in ("ORD-1001", "ORD-1002", "ORD-1003"):
        assert number in page
    assert "attempt 1 failed: ConnectionError" in page
    assert "attempt 1 failed: GatewayError" in page
    assert link in page
    assert link in event
    assert link in story
    assert f"3 deliveries of {NAME}" in later
    assert "sent again in another task" in later
    assert delivery.count("open in Flower") == 9  # its eight attempts, and the latest task
    assert link in delivery
    assert found == f"/ops/tasks/{task}"


def test_a_task_is_told_over_the_api_and_by_a_command(client: FlaskClient):
    with running_services() as bus:
        place_order(client, payment_token="tok_broken")
        bus.drain()
        [only] = [row for row in bus.deliveries() if row.subscription == NAME]
        bus.advance(600)
    task = f"{only.id}:1"
    answer = client.get(f"/api/v1/tasks/{task}", headers=OPS_HTML).json
    [told] = json.loads(call("task", task, "--json").stdout)["deliveries"]

    assert answer is not None
    assert answer["deliveries"][0]["in_this_task"] == told["in_this_task"]
    assert told["in_this_task"].startswith("attempt 1 failed: GatewayError")
    again = f"{only.id} was sent again in another task: {told['again']}"
    assert again in call("task", task).stdout


def test_a_search_that_does_not_reach_all_says_so(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
):
    with running_services() as bus:
        place_order(client)
        place_order(client)
        bus.drain()
        [first, _] = [row for row in bus.deliveries() if row.subscription == NAME]
    monkeypatch.setattr(task_messages, "MAX_ROWS", 1)
    with reading() as session:
        found = task_messages.find(session, f"{first.id}:1")

    assert found is not None
    assert (found.part, [each.id for each in found.deliveries]) == (True, [first.id])


@pytest.mark.parametrize(
    "task_id", ["x", "{id}", "{id}:0", "{id}:9", "{id}:1:1", "{id}:99999999999", "{id}%0A:1", "%00"]
)
def test_a_task_that_is_none_of_a_delivery_is_not_found(client: FlaskClient, task_id: str):
    with running_services() as bus:
        place_order(client)
        bus.drain()
        [row, *_] = bus.deliveries()
    given = task_id.format(id=row.id)
    answer = client.get(f"/ops/tasks/{given}", headers=OPS_HTML)
    problem = client.get(f"/api/v1/tasks/{given}", headers=OPS_HTML)
    refused = call("task", unquote(given).replace("\0", "x"))

    assert (answer.status_code, problem.status_code) == (404, 404)
    assert problem.json is not None
    assert "no delivery was sent in a task with the id" in problem.json["detail"]
    assert (refused.exit_code, "give the whole id" in refused.stderr) == (1, True)
