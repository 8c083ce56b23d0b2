"""`tidings products`."""

from events.testing import Bus
from tests.tidings.cli.calls import WHY, answered, audited, call, told


def test_a_product_is_added_changed_and_listed(bus: Bus):
    added = ("--name", "Cup", "--price", "12.5", "EUR", "--stock", "3", "--why", "spring")
    assert told("products", "add", "CUP", *added) == "CUP is added\n"
    assert told("products", "change", "CUP", "--price", "1200", "JPY", "--inactive", *WHY)

    [cup] = [each for each in answered("products", "list") if each["sku"] == "CUP"]
    assert cup == {
        "sku": "CUP",
        "name": "Cup",
        "description": "",
        "active": False,
        "price": {"amount": 1200, "currency": "JPY"},
        "stock": 3,
    }
    assert "JP¥1,200" in told("products", "list")
    assert told("products", "restock", "CUP", "4", *WHY) == "added 4 to the stock of CUP\n"
    assert [each["stock"] for each in answered("products", "list") if each["sku"] == "CUP"] == [7]
    assert audited()[0] == ("restock", "CUP", "4 more: test")
    assert audited()[2] == ("add product", "CUP", "Cup, €12.50, 3 in stock: spring")
    assert audited()[1][:2] == ("change product", "CUP")


def test_a_wrong_value_is_named_and_nothing_is_saved(bus: Bus):
    for words in (
        ("add", "cup", "--name", "Cup", "--price", "1", "EUR"),
        ("add", "CUP", "--name", "\u2800", "--price", "1", "EUR"),
        ("add", "CUP", "--name", "Cup", "--price", "1_0", "EUR"),
        ("add", "CUP", "--name", "Cup", "--price", "1", "XTS"),
        ("add", "CUP", "--name", "Cup"),
        ("change", "MUG", "--stock", "1_0"),
        ("change", "MUG", "--stock", "9" * 13),
        ("change", "MUG"),
        ("restock", "MUG", "0"),
        ("restock", "MUG", "100001"),
        ("restock", "mug", "1"),
        ("change", "MUG", "--stock", "1", "--why", "a\x9bb"),
    ):
        result = call("products", *words)
        assert result.exit_code == 2, words
        assert "Traceback" not in result.output
    assert call("products", "change", "CAR", "--stock", "1", *WHY).exit_code == 1
    named = ("--name", "M", "--price", "1", "EUR")
    assert call("products", "add", "MUG", *named, *WHY).exit_code == 1
    assert audited() == []


def test_a_refusal_has_the_words_of_a_form(bus: Bus):
    dear = call("products", "change", "MUG", "--price", "99999999999999", "EUR", *WHY)
    nothing = call("products", "change", "MUG", *WHY)

    assert "Error: price: write an amount from €0.01 to €10,000,000,000,000.00\n" in dear.stderr
    assert "Error: product: give a name, description, price, " in nothing.stderr


def test_a_change_of_nothing_says_so(bus: Bus):
    result = call("products", "change", "MUG", "--stock", "10", *WHY)

    assert result.exit_code == 4
    assert result.stderr == "MUG has these values already; nothing was changed\n"
    assert audited() == []
