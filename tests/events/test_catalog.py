"""The catalog is a contract: what is in the log today must be readable for ever."""

import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from uuid_utils.compat import uuid7

from events import catalog as names
from events import clock
from events.catalog import Address, Money, OrderCreated, OrderCreatedV1
from events.envelope import Actor, Envelope
from events.errors import UnknownEvent, UnknownFields
from events.event import Event, catalog, decode, newest
from tests.tasks.builders import lines, order_created

V1: dict[str, Any] = {
    "order_id": "o-1",
    "number": "ORD-1001",
    "customer": "Ada Example",
    "email": "ada@example.org",
    "lines": [
        {
            "sku": "MUG",
            "name": "Blue mug",
            "quantity": 2,
            "price": {"amount": 1250, "currency": "USD"},
        }
    ],
    "total": "25.00",
    "payment_token": "tok_ok",
}


def of_the_shop() -> list[type[Event]]:
    return [
        kind
        for kind in catalog()
        if kind.__module__.startswith(("events.catalog", "events.system_events"))
    ]


def test_an_order_of_the_first_version_becomes_one_of_the_second() -> None:
    event = decode("order.created", 1, V1)

    assert isinstance(event, OrderCreated)
    assert event.total == Money(amount=2500, currency="USD")
    assert event.shipping_address is None
    assert event.model_dump(exclude={"total", "shipping_address"}) == OrderCreatedV1(
        **V1
    ).model_dump(exclude={"total"})


@pytest.mark.parametrize(
    ("total", "cents"),
    [
        ("0", 0),
        ("0.1", 10),
        ("19.99", 1999),
        ("1234567.89", 123456789),
        ("0.005", 0),
        ("0.015", 2),
        (25, 2500),
        (0.29, 29),
    ],
)
def test_the_bare_total_of_the_first_version_becomes_cents_to_the_cent(
    total: object, cents: int
) -> None:
    event = decode("order.created", 1, {**V1, "total": total})
    assert isinstance(event, OrderCreated)
    assert event.total == Money(amount=cents, currency="USD")


def test_the_first_version_is_written_as_it_was() -> None:
    assert json.loads(OrderCreatedV1(**V1).model_dump_json()) == V1


@pytest.mark.parametrize("total", ["NaN", "Infinity", "lots", None])
def test_a_total_other_than_a_number_is_refused(total: object) -> None:
    with pytest.raises(ValidationError):
        decode("order.created", 1, {**V1, "total": total})


def test_an_order_of_the_newest_version_is_read_as_it_was_written() -> None:
    event = order_created(MUG=2)
    assert decode("order.created", 2, json.loads(event.model_dump_json())) == event


def test_an_unknown_newer_version_is_refused() -> None:
    with pytest.raises(
        UnknownEvent, match=r"order\.created v3 is unknown: this process knows up to v2"
    ):
        decode("order.created", 3, V1)


def test_every_event_has_a_source_and_a_docstring() -> None:
    for kind in of_the_shop():
        assert kind.source
        assert kind.__doc__
        assert kind.__doc__ != Event.__doc__


def test_every_event_is_named_in_the_past_tense_by_publisher_and_fact() -> None:
    for kind in of_the_shop():
        thing, fact = kind.type.split(".")
        assert thing in {
            *("order", "inventory", "reservation", "payment", "shipment"),
            *("delivery", "breaker", "alert"),
        }
        assert fact.split("_")[-1].endswith("d") or fact == "dead"


def test_every_newest_event_can_be_imported_from_the_catalog() -> None:
    for kind in of_the_shop():
        if kind.version == newest(kind.type):
            assert getattr(names, kind.__name__) is kind


@pytest.mark.parametrize("kind", of_the_shop(), ids=lambda kind: f"{kind.type} v{kind.version}")
def test_every_version_has_a_valid_json_schema(kind: type[Event]) -> None:
    schema = kind.model_json_schema(mode="serialization")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_serialized_data_fits_the_schema_of_its_version() -> None:
    event = order_created(MUG=2, TEE=1)
    jsonschema.validate(
        json.loads(event.model_dump_json()), OrderCreated.model_json_schema(mode="serialization")
    )
    jsonschema.validate(
        json.loads(OrderCreatedV1(**V1).model_dump_json()),
        OrderCreatedV1.model_json_schema(mode="serialization"),
    )


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        order_created().number = "ORD-2"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        order_created().total.amount = 1  # type: ignore[misc]


def test_an_unknown_field_is_one_of_newer_code() -> None:
    with pytest.raises(UnknownFields, match="fields that this process does not know: card_number"):
        decode(
            "order.created", 2, {**order_created().model_dump(mode="json"), "card_number": "4111"}
        )


def test_an_unknown_field_beside_a_wrong_one_is_wrong_data() -> None:
    with pytest.raises(ValidationError):
        decode("order.created", 2, {**order_created().model_dump(), "number": 5, "card": "4111"})


def test_an_envelope_is_written_and_read_as_a_cloudevent() -> None:
    envelope = Envelope(
        id=uuid7(),
        type="order.created",
        version=2,
        source="web",
        time=clock.now(),
        subject="ORD-1001",
        correlation_id=uuid7(),
        causation_id=None,
        actor=Actor(user="ada", tenant="north", ip="192.0.2.7", agent="curl"),
        traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        data=order_created().model_dump(mode="json"),
    )
    assert Envelope.from_cloudevent(envelope.to_cloudevent()) == envelope
    assert json.loads(envelope.to_json())["specversion"] == "1.0"


class TestMoney:
    """Money in minor units."""

    def test_amounts_of_one_currency_add_up(self) -> None:
        assert Money(amount=1, currency="EUR") + Money(amount=2, currency="EUR") == Money(
            amount=3, currency="EUR"
        )

    def test_amounts_of_two_currencies_do_not(self) -> None:
        with pytest.raises(ValueError, match="EUR and USD cannot be added"):
            Money(amount=1, currency="EUR") + Money(amount=2, currency="USD")

    def test_a_price_times_a_quantity_is_a_price(self) -> None:
        assert Money(amount=1250, currency="EUR") * 3 == Money(amount=3750, currency="EUR")

    def test_a_line_holds_the_price_of_one(self) -> None:
        [line] = lines(MUG=2)
        assert line.price * line.quantity == Money(amount=2500, currency="EUR")

    def test_half_a_cent_does_not_exist(self) -> None:
        with pytest.raises(ValidationError):
            Money.model_validate({"amount": Decimal("0.5"), "currency": "EUR"})

    def test_an_address_has_a_country(self) -> None:
        with pytest.raises(ValidationError):
            Address.model_validate(
                {"line1": "1 Test Street", "city": "Berlin", "postcode": "10115"}
            )
