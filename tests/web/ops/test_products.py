"""/ops/products: stock and restocking."""

import pytest
from flask.testing import FlaskClient

from events import reading
from tasks.inventory import stock_levels
from tests.web.pages import audit_log, post
from tests.web.payloads import OPS


def test_restocking_adds_to_the_stock_and_is_audited(client: FlaskClient):
    page = post(
        client,
        "/ops/products",
        "/ops/products/MUG-BLUE",
        OPS,
        quantity="25",
        reason="a pallet came",
    )

    assert "Added 25 to the stock of MUG-BLUE." in page.text
    with reading() as session:
        assert stock_levels(session)["MUG-BLUE"] == 125
    assert audit_log()[0] == ("ada", "restock", "25 more: a pallet came")


@pytest.mark.parametrize(
    ("sku", "values"),
    [
        ("MUG-BLUE", {"quantity": "0", "reason": "x"}),
        ("MUG-BLUE", {"quantity": "100001", "reason": "x"}),
        ("MUG-BLUE", {"quantity": "many", "reason": "x"}),
        ("MUG-BLUE", {"quantity": "9" * 5000, "reason": "x"}),
        ("MUG-BLUE", {"quantity": "1", "reason": "  "}),
        ("CAR", {"quantity": "1", "reason": "x"}),
        ("car", {"quantity": "1", "reason": "x"}),
        ("MUG-BLUE", {"quantity": "1_0", "reason": "x"}),
    ],
)
def test_a_senseless_restocking_changes_nothing(
    no_write_client: FlaskClient, sku: str, values: dict[str, str]
):
    answer = post(no_write_client, "/ops/products", f"/ops/products/{sku}", OPS, **values)

    assert answer.status_code == (404 if sku == "CAR" else 422)
