"""`tidings products`: list, add and change the products of the shop."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from events import reading, transaction
from events.inputs import escaped, reason_of
from tasks import assortment, inventory
from tasks import products as shop
from tasks.assortment import NewProduct, ProductChange
from tasks.commands import Command, sku
from tasks.money import money_text, parse_amount
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import json_option, nothing_found, print_json, print_table
from tidings.cli.parameters import Rule, WholeNumber

F = TypeVar("F", bound=Callable[..., Any])
Kind = TypeVar("Kind", bound=Command)
_COLUMNS = ("sku", "name", "price", "stock", "sold")


def value_options(command: F) -> F:
    """Add the options with the values of a product."""
    for option in (
        click.option("--inactive/--active", "inactive", default=None, help="Not sold, or sold."),
        click.option("--stock", type=WholeNumber(0), help="The pieces that can be ordered."),
        click.option("--price", metavar="AMOUNT CURRENCY", nargs=2, help="Such as 12.50 EUR."),
        click.option("--description", help="One line about it."),
        click.option("--name", help="Its name."),
    ):
        command = option(command)
    return command


@click.group()
def products() -> None:
    """List, add and change the products of the shop."""


@products.command("list")
@json_option
def list_products(*, as_json: bool) -> None:
    """List all products, also those that are not sold."""
    with reading() as session:
        found = shop.listed(session, inactive=True)
        levels = inventory.stock_levels(session)
    if as_json:
        print_json([_plain(each) | {"stock": levels.get(each.sku, 0)} for each in found])
        return
    rows = [
        (each.sku, each.name, money_text(each.price), levels.get(each.sku, 0), each.active)
        for each in found
    ]
    print_table(_COLUMNS, rows, empty="there is no product yet")


@products.command()
@click.argument("product_sku", metavar="SKU", type=Rule(sku))
@value_options
@why_option
def add(product_sku: str, *, why: str, **values: Any) -> None:
    """Add a product; --name and --price are needed."""
    command = _command(NewProduct, {"sku": product_sku}, **values)
    why = needed(why)
    with transaction() as session:
        assortment.add(session, command, who=who(), why=why)
    echo(f"{product_sku} is added")


@products.command()
@click.argument("product_sku", metavar="SKU", type=Rule(sku))
@value_options
@why_option
def change(product_sku: str, *, why: str, **values: Any) -> None:
    """Change a product. What is left out stays, and so does the price of orders."""
    command = _command(ProductChange, {}, **values)
    why = needed(why)
    with transaction() as session:
        changed = assortment.change(session, product_sku, command, who=who(), why=why)
    if not changed:
        nothing_found(f"{product_sku} has these values already; nothing was changed")
    echo(f"{product_sku} is changed")


@products.command()
@click.argument("product_sku", metavar="SKU", type=Rule(sku))
@click.argument("quantity", type=WholeNumber(1, assortment.MAX_RESTOCK))
@why_option
def restock(product_sku: str, *, quantity: int, why: str) -> None:
    """Add to the stock of a product."""
    why = needed(why)
    with transaction() as session:
        assortment.restock(session, product_sku, quantity, who=who(), why=why)
    echo(f"added {quantity} to the stock of {product_sku}")


def _command(
    kind: type[Kind],
    sent: dict[str, Any],
    *,
    price: tuple[str, str] | None,
    inactive: bool | None,
    **values: Any,
) -> Kind:
    sent |= {name: value for name, value in values.items() if value is not None}
    if inactive is not None:
        sent["active"] = not inactive
    try:
        if price is not None:
            amount, currency = price
            sent["price"] = {"amount": parse_amount(amount, currency), "currency": currency}
        return kind.model_validate(sent)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        lines = [
            f"{'.'.join(map(str, each['loc'])) or 'product'}: {reason_of(each)}" for each in wrong
        ]
        raise click.UsageError(escaped("; ".join(lines))) from error
    except ValueError as error:
        raise click.UsageError(escaped(f"price: {error}")) from error


def _plain(product: shop.Product) -> dict[str, Any]:
    names = ("sku", "name", "description", "active")
    return {name: getattr(product, name) for name in names} | {"price": product.price.model_dump()}
