"""The API of the replays: start, follow, pause, resume, stop, and what is refused by name."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.payloads import OPS

CHARGE = "payment.charge_order"
BACKFILL = {"kind": "backfill", "subscription": CHARGE}
UNKNOWN = f"{'0' * 8}-0000-7000-8000-{'0' * 12}:payment.x"
pytestmark = pytest.mark.usefixtures("dead_charges")


def start(client: FlaskClient, **body: Any) -> TestResponse:
    body = {"why": "mended"} | body
    return client.post("/api/v1/replays", json=body, headers=OPS)


def act(client: FlaskClient, number: int, what: str) -> TestResponse:
    address = f"/api/v1/replays/{number}/{what}"
    assert client.post(address, json={}, headers=OPS).status_code == 422  # without a reason
    return client.post(address, json={"why": "to look"}, headers=OPS)


def test_a_replay_is_started_followed_paused_resumed_and_stopped(client: FlaskClient) -> None:
    answer = start(client, subscription=CHARGE, canary=True, rate=2, stop_above=0.5)

    assert answer.status_code == 202
    job = answer.json
    assert answer.location == f"/api/v1/replays/{job['id']}"
    assert (job["state"], job["total"], job["released"], job["who"], job["why"]) == (
        *("running", 3, 1, "ada", "mended"),
    )
    assert [step["size"] for step in job["steps"]] == [1, 5, 25, None]
    assert job["seconds_left"] is not None
    for what, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        assert act(client, job["id"], what).json["state"] == state
        assert act(client, job["id"], what).json["state"] == state  # again changes nothing
    shown = client.get(answer.location, headers=OPS).json
    assert (shown["state"], shown["stopped_because"]) == ("stopped", "ada stopped it: to look")
    over = act(client, job["id"], "resume")
    assert (over.status_code, over.json["title"]) == (409, "Replay is over")


def test_the_list_goes_on_page_by_page(client: FlaskClient) -> None:
    ids = [
        each["id"] for each in client.get("/api/v1/dead-letters", headers=OPS).json["dead_letters"]
    ]
    for each in ids:
        assert start(client, ids=[each]).status_code == 202
    first = client.get("/api/v1/replays?limit=2", headers=OPS).json
    rest = client.get(first["next"], headers=OPS).json

    assert [job["id"] for job in first["replays"] + rest["replays"]] == [3, 2, 1]
    assert rest["next"] is None


def test_a_second_replay_of_the_same_group_is_told_of_the_first(client: FlaskClient) -> None:
    first = start(client, subscription=CHARGE, canary=[1])
    older = {"queue": "payment", "reason": "too"}
    for again in (
        start(client, subscription=CHARGE),
        client.post("/api/v1/dead-letters/replay", json=older, headers=OPS),
    ):
        assert (again.status_code, again.json["title"]) == (409, "Already replaying")
        assert again.json["links"] == {"replay": first.location}
        assert "replay 1 of ada, which is running" in again.json["detail"]
    assert len(client.get("/api/v1/replays", headers=OPS).json["replays"]) == 1


def test_a_replay_of_a_filter_by_the_older_address_is_a_job_too(client: FlaskClient) -> None:
    body = {"queue": "payment", "reason": "mended"}
    answer = client.post("/api/v1/dead-letters/replay", json=body, headers=OPS)

    assert (answer.status_code, answer.json["total"]) == (202, 3)
    assert client.get(answer.location, headers=OPS).json["why"] == "mended"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"queue": "shipping"}, 404, "no dead letter matches queue 'shipping'"),
        ({"fingerprint": "nothing"}, 404, "no dead letter matches"),
        ({}, 422, "the body selects no dead letters"),
        ({"ids": []}, 422, "at least 1 item"),
        ({"everything": True, "queue": "payment"}, 422, "not two of them"),
        ({"ids": [UNKNOWN], "subscription": CHARGE}, 422, "not two of them"),
        ({"ids": ["nonsense"]}, 422, "pattern"),
        ({"everything": False}, 422, "selects no dead letters"),
        ({"queue": "payment", "why": ""}, 422, "why"),
        ({"queue": "payment", "rate": 0}, 422, "rate"),
        ({"queue": "payment", "rate": "fast"}, 422, "rate"),
        ({"queue": "payment", "rate": "5"}, 422, "rate"),
        ({"queue": "payment", "canary": [True]}, 422, "canary"),
        ({"queue": "payment", "canary": [0]}, 422, '"canary: give true, or at most 10 sizes'),
        ({"queue": "payment", "canary": "1,5"}, 422, '"canary: give true, or at most 10 sizes'),
        ({"queue": "payment", "canary": [1] * 11}, 422, "canary"),
        ({"queue": "payment", "stop_above": 1.5}, 422, "stop_above"),
        ({"queue": "payment", "event_type": "order.created"}, 422, "add kind: backfill"),
        ({"kind": "backfill", "queue": "payment"}, 422, "a backfill takes a subscription"),
        ({"kind": "backfill", "subscription": "no.body"}, 404, "no subscription is called"),
        ({"kind": "backfill", "subscription": CHARGE}, 404, "every earlier event"),
        (BACKFILL | {"event_type": "no.such"}, 404, "its events are: order.created"),
        ({"queue": "payment", "colour": "red"}, 422, "colour"),
        ({"ids": [UNKNOWN]}, 404, "no dead letter has"),
    ],
)
def test_a_request_that_cannot_work_is_refused_by_name(
    client: FlaskClient, body: dict[str, Any], status: int, words: str
) -> None:
    answer = start(client, **body)

    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert words in answer.text
    assert client.get("/api/v1/replays", headers=OPS).json["replays"] == []


def test_a_number_of_no_replay_is_not_found(client: FlaskClient) -> None:
    assert client.get("/api/v1/replays/7", headers=OPS).json["title"] == "Unknown replay"
    assert client.get("/api/v1/replays/x", headers=OPS).status_code == 422
    for what in ("pause", "resume", "stop"):
        assert act(client, 7, what).status_code == 404
    assert client.get("/api/v1/replays").status_code == 401
