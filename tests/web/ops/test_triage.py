"""The triage of a group by page, API and command, with the same words."""

from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from events import heartbeat, reading
from events.admin.fix_canaries import start_due
from tasks.orders import Order
from tests.tasks.test_impact import CHARGE, dead
from tests.tidings.cli.calls import WHY, answered, call, told
from tests.web.pages import OPS_HTML, place_order, post, running_services
from tests.web.payloads import OPS


class GroupKey(NamedTuple):
    subscription: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.subscription} {self.fingerprint}"


def listed(client: FlaskClient) -> dict[str, Any]:
    answer = client.get("/api/v1/dead-letters", headers=OPS).json
    assert answer
    [found] = [each for each in answer["groups"] if each["queue"] == "payment"]
    triage: dict[str, Any] = found["triage"]
    return triage


def page_with(client: FlaskClient, group: Any, **values: str) -> Any:
    sent = {"only": f"{group.subscription} {group.fingerprint}", "reason": "test", **values}
    return post(client, "/ops/dead-letters", "/ops/dead-letters/triage", OPS, **sent)


def test_a_group_is_triaged_from_its_row(client: FlaskClient, group: Any) -> None:
    values = {"state": "fixed", "version": "2.1", "owner": "<i>ines", "note": "n"}
    page = page_with(client, group, **values, link="https://t.example/?a=1&b=2")

    assert page.status_code == 200
    assert "fixed in 2.1" in page.text
    assert "&lt;i&gt;ines" in page.text
    assert 'href="https://t.example/?a=1&amp;b=2"' in page.text
    assert {name: listed(client)[name] for name in values} == values


@pytest.mark.parametrize(
    ("field", "values"),
    [("link", {"link": "javascript:alert(1)"}), ("", {"state": "fixed"}), ("", {"version": "1"})],
)
def test_a_wrong_value_is_refused_by_page_api_and_command(
    client: FlaskClient, group: Any, field: str, values: dict[str, str]
) -> None:
    which = {"subscription": group.subscription, "fingerprint": group.fingerprint}
    assert page_with(client, group, **values).status_code == 422
    answer = client.post(
        "/api/v1/dead-letters/triage", json=which | values | {"reason": "x"}, headers=OPS
    )
    assert answer.status_code == 422, answer.text
    assert answer.json
    assert field in str(answer.json["errors"])
    assert listed(client)["changed_at"] is None


def test_a_command_triages_what_the_list_shows(client: FlaskClient, group: Any) -> None:
    which = ("--subscription", group.subscription, "--fingerprint", group.fingerprint)
    told("dead-letters", "triage", *which, "--fixed-in", "2.1", "--owner", "ines", *WHY)

    [found] = [
        each["triage"]
        for each in answered("dead-letters", "list", "--group")
        if each["queue"] == "payment"
    ]
    assert (found["state"], found["version"], found["owner"]) == ("fixed", "2.1", "ines")
    refused = call("dead-letters", "triage", *which, "--link", "javascript:alert(1)", *WHY)
    assert (refused.exit_code, "with http or https" in refused.stderr) == (2, True)
    unknown = call(
        "dead-letters", "triage", "--subscription", "a", "--fingerprint", "b", "--owner", "c", *WHY
    )
    assert unknown.exit_code == 1


def test_an_unknown_group_is_not_found(client: FlaskClient, group: Any) -> None:
    body = {"subscription": "a", "fingerprint": "b", "owner": "c", "reason": "x"}

    assert client.post("/api/v1/dead-letters/triage", json=body, headers=OPS).status_code == 404
    assert client.post("/api/v1/dead-letters/triage", json=body).status_code == 401
    assert "Triage" in client.get("/ops/dead-letters", headers=OPS_HTML).text


def test_the_rest_of_a_fixed_group_is_offered_when_its_canary_was_handled(
    client: FlaskClient,
) -> None:
    with running_services() as bus:
        for _ in range(2):
            place_order(client)
        with reading() as session:
            dead(CHARGE, *session.scalars(select(Order)))
        fixed = GroupKey(CHARGE, "ValueError: no")
        assert page_with(client, fixed, state="fixed", version="2.1").status_code == 200
        heartbeat.beat("payment@box", "worker", ["payment"], version="2.1")
        assert start_due() == 1
        page = client.get("/ops/dead-letters", headers=OPS_HTML).text
        assert "canary</a> under way" in page
        assert "Replay the rest" not in page
        bus.drain()

    page = client.get("/ops/dead-letters", headers=OPS_HTML).text
    assert "canary</a> handled; replay the rest" in page
    assert "Replay the rest…" in page
    assert (listed(client)["canary"], listed(client)["canary_outcome"]) == (1, "handled")
    assert "fixed in 2.1, canary handled" in told("dead-letters", "list", "--group")
    post(client, "/ops/dead-letters", "/ops/dead-letters/replay", OPS, only=str(fixed), reason="ok")
    assert not client.get("/api/v1/dead-letters", headers=OPS).json["groups"]
