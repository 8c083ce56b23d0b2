"""The shop's pages without a browser: the order form, and who sees which order."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from events import transaction
from tasks.inventory import Stock
from tests.web.asking import NOTHING, written
from tests.web.pages import GOOD, HTML, filled_in, hidden, ordered, sent


def test_the_form_shows_every_product_with_its_price_and_what_is_left(client: FlaskClient):
    with transaction() as session:
        session.get_one(Stock, "LAMP-BRASS").available = 3
        session.get_one(Stock, "SCARF-WOOL").available = 0

    page = client.get("/").text

    assert "Blue mug" in page
    assert "€12.50" in page
    assert "100 in stock" in page
    assert "only 3 left" in page
    assert "sold out" in page


def test_an_order_placed_by_the_form_leads_to_its_page(client: FlaskClient):
    page = client.get(ordered(client), headers=HTML)

    assert page.status_code == 200
    assert "ORD-1001" in page.text
    assert "2 × Blue mug" in page.text
    assert "€42.50" in page.text
    assert "1 Test Street, 10115 Berlin, Germany" in page.text


def test_the_page_of_a_customer_masks_the_address_it_was_told(client: FlaskClient):
    page = client.get(ordered(client)).text

    assert "a***@example.org" in page
    assert "ada@example.org" not in page


def test_a_form_that_is_sent_twice_is_one_order(client: FlaskClient):
    form = filled_in(client)

    first, second = (client.post("/orders", data=form, headers=HTML) for _ in range(2))

    assert first.location == second.location
    assert written()["orders"] == 1


def test_a_form_sent_again_for_the_last_pieces_still_leads_to_its_order(client: FlaskClient):
    with transaction() as session:
        session.get_one(Stock, "MUG-BLUE").available = 2
    form = filled_in(client)
    first = client.post("/orders", data=form, headers=HTML)
    with transaction() as session:
        session.get_one(Stock, "MUG-BLUE").available = 0

    assert client.post("/orders", data=form, headers=HTML).location == first.location


def test_a_form_that_was_sent_and_then_changed_asks_before_it_is_a_new_order(client: FlaskClient):
    form = filled_in(client)
    client.post("/orders", data=form, headers=HTML)

    changed = client.post("/orders", data=form | {"quantity.MUG-BLUE": "5"}, headers=HTML)

    assert changed.status_code == 409
    assert "sent before with other contents" in changed.text
    assert 'value="5"' in changed.text
    again = client.post(
        "/orders",
        data=form | {"quantity.MUG-BLUE": "5", "key": hidden(changed.text, "key")},
        headers=HTML,
    )
    assert again.status_code == 303
    assert written()["orders"] == 2


WRONG = {
    "no name": ("name", "   ", "name", "Please fill this in."),
    "a name that is too long": ("name", "x" * 101, "name", "Please use at most 100 characters."),
    "a name on two lines": ("name", "Ada\nEve", "name", "Please use plain text on one line."),
    "no e-mail address": (
        "email",
        "ada",
        "email",
        "Please give one e-mail address, such as ada@example.org.",
    ),
    "two e-mail addresses": (
        "email",
        "a@example.org, b@example.org",
        "email",
        "Please give one e-mail address",
    ),
    "no street": ("line1", "", "line1", "Please fill this in."),
    "no city": ("city", "", "city", "Please fill this in."),
    "no postcode": ("postcode", "", "postcode", "Please fill this in."),
    "an unknown country": ("country", "XX", "country", "Please choose a country."),
    "no method": ("payment_token", "", "payment_token", "Please"),
    "a hundred of one product": (
        "quantity.MUG-BLUE",
        "100",
        "quantity.MUG-BLUE",
        "Please order 1 to 99 of it.",
    ),
    "less than nothing": ("quantity.TEE-M", "-1", "quantity.TEE-M", "Please order 1 to 99 of it."),
    "half a product": ("quantity.TEE-M", "1.5", "quantity.TEE-M", "Please give a whole number."),
    "words for a number": (
        "quantity.TEE-M",
        "two",
        "quantity.TEE-M",
        "Please give a whole number.",
    ),
    "a number of five thousand digits": ("quantity.TEE-M", "9" * 5000, "quantity.TEE-M", "Please"),
}


@pytest.mark.parametrize(("typed", "value", "field", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_beside_its_field_and_all_that_was_typed_is_kept(
    refused: FlaskClient, typed: str, value: str, field: str, message: str
):
    form = filled_in(refused) | {typed: value}

    answer = refused.post("/orders", data=form, headers=HTML)

    assert answer.status_code == 422
    [_, beside] = answer.text.split(f'id="{field}-error">')
    assert beside.startswith(message)
    assert f'aria-describedby="{field}-error' in answer.text
    assert "Ada Example" in answer.text or typed == "name"
    assert answer.text.count('class="error"') == 1


def test_a_form_without_a_product_says_so(refused: FlaskClient):
    answer = sent(refused, quantity__MUG_BLUE="0", quantity__TEE_M="")

    assert answer.status_code == 422
    assert "Please choose at least one product." in answer.text


def test_an_unknown_product_is_refused(refused: FlaskClient):
    answer = sent(refused, quantity__CAR="1")

    assert answer.status_code == 422
    assert "There is no product CAR." in answer.text


def test_stock_that_went_away_since_the_form_was_opened_is_told_beside_the_product(
    client: FlaskClient,
):
    form = filled_in(client)
    with transaction() as session:
        session.get_one(Stock, "MUG-BLUE").available = 1
        session.get_one(Stock, "TEE-M").available = 0

    answer = client.post("/orders", data=form, headers=HTML)

    assert answer.status_code == 409
    assert 'id="quantity.MUG-BLUE-error">Only 1 of Blue mug are left.' in answer.text
    assert "sold out" in answer.text
    assert written() == NOTHING


@pytest.mark.parametrize("token", ["", "forged"])
def test_a_form_without_our_token_changes_nothing_and_keeps_what_was_typed(
    refused: FlaskClient, token: str
):
    answer = refused.post("/orders", data=GOOD | {"csrf_token": token}, headers=HTML)

    assert answer.status_code == 400
    assert "open for too long" in answer.text
    assert "Ada Example" in answer.text


NASTY = '"><script>alert(1)</script>'


def test_html_in_any_field_is_shown_as_text(client: FlaskClient):
    form = filled_in(client)
    for field in GOOD:
        emptied = "city" if field == "name" else "name"
        refused_page = client.post(
            "/orders", data=form | {field: NASTY, emptied: ""}, headers=HTML
        ).text
        answer = client.post("/orders", data=form | {field: NASTY[:16], "key": field}, headers=HTML)
        next_page = client.get(answer.location).text if answer.status_code == 303 else answer.text

        for page in (refused_page, next_page):
            assert "<script>" not in page, field
            assert '"><scr' not in page, field


@pytest.mark.parametrize("path", ["", "/live"])
def test_an_order_is_shown_to_nobody_without_its_own_token(app: Flask, path: str):
    client = app.test_client()
    address, token = ordered(client).split("?token=")
    _, another = ordered(client, name="Eve").split("?token=")

    for wrong in (
        "",
        "?token=",
        "?token=wrong",
        f"?token={another}",
        f"?token={token}x",
        "?token=%00",
        "?token=%ff",
        "?token=ü",
    ):
        answer = app.test_client().get(address + path + wrong, headers=HTML)
        assert answer.status_code == 404, wrong
        for secret in ("ORD-1001", "Ada", "Berlin", token):
            assert secret not in answer.text


@pytest.mark.parametrize("id", ["01a2078e-dbc3-70e2-bd43-ff936927098b", "1", "ORD-1001", "../ops"])
def test_an_unknown_order_is_a_page_that_says_so(refused: FlaskClient, id: str):
    answer = refused.get(f"/orders/{id}?token=x", headers=HTML)

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
