"""A correction on its page and over the API: errors by field, the difference, then the replay."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from events import reading
from events.admin import dead_letters
from events.testing import Bus
from tests.web.pages import OPS_HTML, post
from tests.web.payloads import OPS

PATCH = [{"op": "replace", "path": "/payment_token", "value": "tok_ok"}]
pytestmark = pytest.mark.usefixtures("dead_charges")


def letters() -> list[str]:
    with reading() as session:
        return [each.id for each in dead_letters.listed(session)]


def payload(client: FlaskClient, letter: str) -> dict[str, Any]:
    preview: dict[str, Any] = client.get("/api/v1/events?limit=50", headers=OPS).json
    [data] = [each["data"] for each in preview["events"] if each["id"] == letter.partition(":")[0]]
    found: dict[str, Any] = data
    return found


def test_a_payload_that_its_event_cannot_have_is_refused_on_its_page(
    client: FlaskClient, dead_charges: Bus
) -> None:
    letter = letters()[0]
    address = f"/ops/dead-letters/{letter}/edit"
    data = payload(client, letter) | {"total": "<b>"}
    wrong = post(client, address, address, OPS, data=json.dumps(data))

    assert wrong.status_code == 422
    assert "<code>data.total</code>" in wrong.text
    assert "&lt;b&gt;" in wrong.text  # what was typed is there still
    for text, words in (
        ("{", "it is no JSON"),
        ("[1]", "no JSON object"),
        ("[" * 9999, "no JSON"),
        ('{"total": 1e400}', "no JSON"),
        ('{"total": {"amount": 1, "amount": 2}}', "it has &#39;amount&#39; twice"),
    ):
        assert words in post(client, address, address, OPS, data=text).text


def test_a_payload_is_compared_and_replayed_on_its_page(
    client: FlaskClient, dead_charges: Bus
) -> None:
    letter = letters()[0]
    address = f"/ops/dead-letters/{letter}/edit"
    assert "tok_broken" in client.get(address, headers=OPS_HTML).text
    assert f'href="{address}"' in client.get(address.removesuffix("/edit"), headers=OPS_HTML).text
    data = payload(client, letter)

    right = json.dumps(data | {"payment_token": "tok_ok"})
    page = post(client, address, address, OPS, data=right).text
    assert "1 value would be corrected" in page
    assert "<code>/payment_token</code>" in page
    assert letter in letters()

    assert post(client, address, address, OPS, data=right, apply="yes").status_code == 422
    done = post(client, address, address, OPS, data=right, apply="yes", reason="mended").text
    assert "to this subscription alone" in done
    assert "Corrects" in done
    dead_charges.drain()
    assert letter not in letters()
    assert "Corrected by" in client.get(f"/ops/dead-letters/{letter}", headers=OPS_HTML).text
    again = post(client, "/ops/dead-letters", address, OPS, data=right, apply="yes", reason="x")
    assert "not dead any more" in again.text


EDIT = "/ops/dead-letters/edit"


def send(client: FlaskClient, patch: object, **more: str) -> TestResponse:
    """Send the form of the patch over the group."""
    with reading() as session:
        group = dead_letters.groups(session)[0]
    typed = patch if isinstance(patch, str) else json.dumps(patch)
    only = f"{group.subscription} {group.fingerprint}"
    return post(client, "/ops/dead-letters", EDIT, OPS, only=only, patch=typed, **more)


def test_a_patch_that_does_not_fit_is_told_for_each_dead_letter_of_the_group(
    client: FlaskClient,
) -> None:
    assert client.get(EDIT, headers=OPS_HTML).status_code == 422
    for text, words in (("{", "it is no JSON"), ("{}", "no JSON array"), ("[{}]", "op")):
        refused = send(client, text)
        assert (refused.status_code, words in refused.text) == (422, True)
    wrong = send(client, [{"op": "replace", "path": "/total", "value": "<b>"}])

    assert wrong.status_code == 422
    assert wrong.text.count("<code>data.total</code>") == 3
    assert "&lt;b&gt;" in wrong.text
    assert len(letters()) == 3


def test_a_group_is_corrected_by_one_patch_after_its_preview(
    client: FlaskClient, dead_charges: Bus
) -> None:
    with reading() as session:
        [group] = dead_letters.groups(session)
    query = {"subscription": group.subscription, "fingerprint": group.fingerprint}
    form = client.get(EDIT, query_string=query, headers=OPS_HTML).text
    assert "Correct 3 payloads by one patch, then replay" in form
    page = send(client, PATCH).text
    assert "3 payloads would be corrected" in page
    assert page.count("<code>/payment_token</code>") == 3
    assert len(letters()) == 3

    yes = {"apply": "yes", "previewed": json.dumps(PATCH)}
    assert send(client, PATCH, **yes).status_code == 422  # without a reason
    other = send(client, PATCH, apply="yes", previewed="[]", reason="mended")
    assert "3 payloads would be corrected" in other.text  # not what the preview had shown
    seen = yes | {"reason": "mended", "id": letters()[0]}
    assert "1 corrected event is published" in send(client, PATCH, **seen).text
    assert len(letters()) == 2
    assert send(client, PATCH, **seen).status_code == 404  # it is settled already
    assert "2 corrected events are published" in send(client, PATCH, **yes, reason="mended").text
    dead_charges.drain()
    assert letters() == []


def test_one_and_a_group_are_corrected_over_the_api_after_a_preview(
    client: FlaskClient, dead_charges: Bus
) -> None:
    first = letters()[0]
    group = {"subscription": "payment.charge_order", "patch": PATCH}
    seen = client.post("/api/v1/dead-letters/edit", json=group | {"preview": True}, headers=OPS)
    assert (seen.status_code, len(seen.json["edits"])) == (200, 3)
    assert seen.json["edits"][0]["diff"] == [
        {"path": "/payment_token", "now": "tok_broken", "then": "tok_ok"}
    ]
    assert len(letters()) == 3

    one = client.post(
        f"/api/v1/dead-letters/{first}/edit", json={"patch": PATCH, "why": "mended"}, headers=OPS
    )
    assert (one.status_code, one.json["delivery_id"]) == (202, first)
    assert one.json["corrected"].endswith(":payment.charge_order")
    rest = client.post("/api/v1/dead-letters/edit", json=group | {"why": "mended"}, headers=OPS)
    assert (rest.status_code, len(rest.json["edits"])) == (202, 2)
    dead_charges.drain()
    assert letters() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"why": "x"}, "body"),
        ({"patch": PATCH, "data": {}, "why": "x"}, "body"),
        ({"patch": PATCH}, "why"),
        ({"data": {}, "why": "x"}, "data.order_id"),
        ({"patch": [], "why": "x"}, "patch"),
        ({"patch": [{"op": "remove", "path": "/nothing"}], "why": "x"}, "patch"),
        ({"patch": [{"op": "replace", "path": "/total", "value": 1}], "why": "x"}, "data.total"),
    ],
)
def test_a_correction_that_cannot_work_is_refused_by_field(
    client: FlaskClient, body: dict[str, Any], field: str
) -> None:
    before = letters()
    answer = client.post(f"/api/v1/dead-letters/{before[0]}/edit", json=body, headers=OPS)

    assert answer.status_code == 422
    assert field in [each["field"] for each in answer.json["errors"]]
    assert letters() == before


def test_a_group_that_matches_nothing_is_told_by_name(client: FlaskClient) -> None:
    body: dict[str, Any] = {"queue": "shipping", "patch": PATCH, "why": "x"}
    nothing = client.post("/api/v1/dead-letters/edit", json=body, headers=OPS)
    assert (nothing.status_code, nothing.json["title"]) == (404, "Nothing to replay")
    body.pop("queue")
    everything = client.post("/api/v1/dead-letters/edit", json=body, headers=OPS)
    assert everything.status_code == 422
