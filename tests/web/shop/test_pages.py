"""The shop's pages without a browser: the order form, and who sees which order."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from events import transaction
from tasks.inventory import Stock
from tests.web.pages import HTML, VALID_FORM, form_data, hidden_field, place_order, submit
from tests.web.payloads import NO_ROWS, row_counts


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
    page = client.get(place_order(client), headers=HTML)

    assert page.status_code == 200
    assert "ORD-1001" in page.text
    assert "2 × Blue mug" in page.text
    assert "€42.50" in page.text
    assert "1 Test Street, 10115 Berlin, Germany" in page.text


def test_the_page_of_a_customer_masks_the_e_mail_address(client: FlaskClient):
    page = client.get(place_order(client)).text

    assert "a***@example.org" in page
    assert "ada@example.org" not in page


def test_a_form_that_is_sent_twice_is_one_order(client: FlaskClient):
    form = form_data(client)

    first, second = (client.post("/orders", data=form, headers=HTML) for _ in range(2))

    assert first.location == second.location
    assert row_counts()["orders"] == 1


def test_a_form_sent_again_for_the_last_pieces_still_leads_to_its_order(client: FlaskClient):
    with transaction() as session:
        session.get_one(Stock, "MUG-BLUE").available = 2
    form = form_data(client)
    first = client.post("/orders", data=form, headers=HTML)
    with transaction() as session:
        session.get_one(Stock, "MUG-BLUE").available = 0

    assert client.post("/orders", data=form, headers=HTML).location == first.location


def test_a_form_that_was_sent_and_then_changed_asks_before_it_is_a_new_order(client: FlaskClient):
    form = form_data(client)
    client.post("/orders", data=form, headers=HTML)

    changed = client.post("/orders", data=form | {"quantity.MUG-BLUE": "5"}, headers=HTML)

    assert changed.status_code == 409
    assert "sent before with other contents" in changed.text
    assert 'value="5"' in changed.text
    again = client.post(
        "/orders",
        data=form | {"quantity.MUG-BLUE": "5", "key": hidden_field(changed.text, "key")},
        headers=HTML,
    )
    assert again.status_code == 303
    assert row_counts()["orders"] == 2


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
def test_a_mistake_is_reported_beside_its_field_and_all_values_are_kept(
    no_write_client: FlaskClient, typed: str, value: str, field: str, message: str
):
    form = form_data(no_write_client) | {typed: value}

    answer = no_write_client.post("/orders", data=form, headers=HTML)

    assert answer.status_code == 422
    [_, beside] = answer.text.split(f'id="{field}-error">')
    assert beside.startswith(message)
    assert f'aria-describedby="{field}-error' in answer.text
    assert "Ada Example" in answer.text or typed == "name"
    assert answer.text.count('class="error"') == 1


@pytest.mark.parametrize("name", ["quantity.MUG-BLUE", "email"])
def test_a_field_that_is_sent_twice_is_refused_beside_it(no_write_client: FlaskClient, name: str):
    form = form_data(no_write_client)

    answer = no_write_client.post("/orders", data=form | {name: [form[name], "50"]}, headers=HTML)

    assert answer.status_code == 422
    assert f'id="{name}-error">Please fill this in once; it was sent twice.' in answer.text


def test_a_form_without_a_product_says_so(no_write_client: FlaskClient):
    answer = submit(no_write_client, quantity__MUG_BLUE="0", quantity__TEE_M="")

    assert answer.status_code == 422
    assert "Please choose at least one product." in answer.text


def test_an_unknown_product_is_refused(no_write_client: FlaskClient):
    answer = submit(no_write_client, quantity__CAR="1")

    assert answer.status_code == 422
    assert "There is no product CAR." in answer.text


def test_stock_that_went_away_since_the_form_was_opened_is_reported_beside_the_product(
    client: FlaskClient,
):
    form = form_data(client)
    with transaction() as session:
        session.get_one(Stock, "MUG-BLUE").available = 1
        session.get_one(Stock, "TEE-M").available = 0

    answer = client.post("/orders", data=form, headers=HTML)

    assert answer.status_code == 409
    assert 'id="quantity.MUG-BLUE-error">Only 1 of Blue mug are left.' in answer.text
    assert "sold out" in answer.text
    assert row_counts() == NO_ROWS


@pytest.mark.parametrize(
    ("token", "reason"), [("", "sent without its token"), ("forged", "sent no cookie")]
)
def test_a_form_without_our_token_changes_nothing_and_keeps_the_values(
    no_write_client: FlaskClient, token: str, reason: str
):
    answer = no_write_client.post("/orders", data=VALID_FORM | {"csrf_token": token}, headers=HTML)

    assert answer.status_code == 400
    assert reason in answer.text
    assert "Ada Example" in answer.text


NASTY = '"><script>alert(1)</script>'


def test_html_in_any_field_is_shown_as_text(client: FlaskClient):
    form = form_data(client)
    for field in VALID_FORM:
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
    address, token = place_order(client).split("?token=")
    _, another = place_order(client, name="Eve").split("?token=")

    for query, status in {
        "": 401,
        "?token=": 401,
        "?token=wrong": 403,
        f"?token={another}": 403,
        f"?token={token}x": 403,
        "?token=%00": 403,
        "?token=%ff": 403,
        "?token=ü": 403,
    }.items():
        answer = app.test_client().get(address + path + query, headers=HTML)
        assert answer.status_code == status, query
        for secret in ("ORD-1001", "Ada", "Berlin", token):
            assert secret not in answer.text


def test_an_unknown_order_looks_like_a_wrong_token(client: FlaskClient):
    address = place_order(client).partition("?")[0]
    unknown = "/orders/01a2078e-dbc3-70e2-bd43-ff936927098b"

    answers = [client.get(f"{path}?token=x", headers=HTML) for path in (address, unknown)]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].text == answers[1].text
    assert "No order has this id and this token" in answers[0].text


@pytest.mark.parametrize("order_id", ["1", "ORD-1001", "../ops"])
def test_an_id_that_cannot_be_one_is_an_error_page(no_write_client: FlaskClient, order_id: str):
    answer = no_write_client.get(f"/orders/{order_id}?token=x", headers=HTML)

    assert answer.status_code == 404
    assert "There is no page at this address" in answer.text
