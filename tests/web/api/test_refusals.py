"""What the operators' API refuses: parameters that would do nothing, and what there is not."""

import pytest
from flask.testing import FlaskClient

from events import reading
from events.admin import audit
from tests.web.payloads import OPS


@pytest.mark.parametrize(
    ("path", "more", "title"),
    [
        ("/dead-letters/discard", {"queue": "payment"}, "Nothing to discard"),
        ("/dead-letters/replay", {"queue": "payment"}, "Nothing to replay"),
        ("/dead-letters/edit", {"queue": "payment", "patch": [{}]}, "Nothing to replay"),
        ("/invalid-messages/7/discard", {}, "Unknown invalid message"),
    ],
)
def test_what_there_is_not_is_told_by_its_own_name(
    client: FlaskClient, path: str, more: dict[str, object], title: str
) -> None:
    answer = client.post(f"/api/v1{path}", json={"why": "test"} | more, headers=OPS)

    assert (answer.status_code, answer.json["title"]) == (404, title)


def test_a_parameter_that_would_do_nothing_is_refused(client: FlaskClient) -> None:
    for path in ("/alerts/preview", "/queues", "/breakers", "/replays/1", "/whoami"):
        refused = client.get(f"/api/v1{path}?hours=48", headers=OPS)
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "hours"), path
    for path in (
        "/alerts/test",
        "/subscriptions/payment.charge_order/pause",
        "/breakers/smtp/hold",
    ):
        refused = client.post(f"/api/v1{path}?dry_run=1", json={"why": "x"}, headers=OPS)
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "dry_run"), path
    assert client.get("/api/v1/queues?hours=48").status_code == 401  # nobody learns more
    with reading() as session:
        assert audit.listed(session) == []
