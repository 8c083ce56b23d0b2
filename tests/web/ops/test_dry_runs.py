"""A dry run on its page and over the API: the same words, and nothing is left behind."""

import pytest
from flask.testing import FlaskClient

from events import reading
from events.admin import dead_letters
from tests.web.pages import OPS_HTML, post
from tests.web.payloads import OPS

pytestmark = pytest.mark.usefixtures("dead_charges")


def letter() -> str:
    with reading() as session:
        found = dead_letters.listed(session)
    return found[0].id


def test_a_page_lists_what_the_handler_would_do_and_offers_other_answers(
    client: FlaskClient,
) -> None:
    address = f"/ops/dead-letters/{letter()}"
    assert "Dry run" in client.get(address, headers=OPS_HTML).text
    page = post(client, address, f"{address}/dry-run", OPS).text

    assert "It would be handled now: 1 row, 1 event, 1 call" in page
    assert "payment.charged" in page
    assert "<code>payments.charge</code>" in page
    again = post(client, address, f"{address}/dry-run", OPS, answer="declined").text
    assert "payment.failed" in again
    assert "<option selected>declined</option>" in again
    assert f"/ops/dead-letters/{letter()}" in again  # it is dead still


def test_the_api_answers_with_the_same_and_refuses_by_name(client: FlaskClient) -> None:
    address = f"/api/v1/dead-letters/{letter()}/dry-run"
    result = client.post(address, headers=OPS).json

    assert result["outcome"] == "handled"
    assert [each["type"] for each in result["events"]] == ["payment.charged"]
    assert [each["table"] for each in result["rows"]] == ["charges"]
    assert result["calls"][0]["answers"] == ["charged", "declined"]
    wrong = client.post(address, json={"answer": "maybe"}, headers=OPS)
    assert wrong.status_code == 422
    assert wrong.json["errors"] == [
        {"field": "answer", "message": "there is no answer 'maybe'; there are: charged, declined"}
    ]
    nobody = f"/api/v1/dead-letters/{'0' * 8}-0000-7000-8000-{'0' * 12}:payment.x/dry-run"
    assert client.post(nobody, headers=OPS).status_code == 404
    assert client.post(address).status_code == 401


def test_a_sample_of_a_group_is_run_on_a_page_and_over_the_api(client: FlaskClient) -> None:
    with reading() as session:
        [group] = dead_letters.groups(session)
        before = dead_letters.count(session, queue="payment")
    address, only = "/ops/dead-letters/dry-run", f"{group.subscription} {group.fingerprint}"
    listed = client.get("/ops/dead-letters", headers=OPS_HTML).text
    assert f'action="{address}"' in listed
    page = post(client, "/ops/dead-letters", address, OPS, only=only, sample="2").text

    assert "All 2 of the sample would be handled now" in page
    assert "The latest 2 of 3 dead letters of payment.charge_order" in page
    assert page.count("payment.charged") == 2
    again = post(client, "/ops/dead-letters", address, OPS, only=only, answer="declined").text
    assert again.count("payment.failed") == 3
    body = {"subscription": group.subscription, "fingerprint": group.fingerprint, "sample": 2}
    api = "/api/v1/dead-letters/dry-run"
    answer = client.post(api, json=body | {"answer": "declined"}, headers=OPS).json
    assert [each["events"][0]["type"] for each in answer["dry_runs"]] == ["payment.failed"] * 2
    with reading() as session:
        assert dead_letters.count(session, queue="payment") == before

    for wrong in ({"only": "x"}, {"only": only, "sample": "21"}, {"only": only, "answer": "no"}):
        assert post(client, "/ops/dead-letters", address, OPS, **wrong).status_code == 422
    nothing = post(client, "/ops/dead-letters", address, OPS, only="payment.x <b>")
    assert nothing.status_code == 404
    for bad, status in (({}, 422), (body | {"ids": [letter()]}, 422), ({"queue": "x"}, 404)):
        assert client.post(api, json=bad, headers=OPS).status_code == status
