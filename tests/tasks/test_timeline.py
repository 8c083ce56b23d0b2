"""The timeline of an order."""

import random
import re

import pytest

from events import reading
from events.catalog import OrderEvent
from events.event import catalog, newest
from events.testing import Bus
from tasks.timeline import TEXTS, entries
from tests.tasks.builders import order_created, placed


def texts(order_id: str) -> list[str]:
    with reading() as session:
        return [entry.text for entry in entries(session, order_id)]


def test_every_event_about_an_order_has_its_words() -> None:
    about_orders = {
        kind
        for kind in catalog()
        if issubclass(kind, OrderEvent) and kind.version == newest(kind.type)
    }
    assert {kind.__name__ for kind in about_orders} == {kind.__name__ for kind in TEXTS}


def test_a_timeline_shows_every_step_of_a_shipped_order(any_bus: Bus) -> None:
    order = placed(MUG=2, TEE=1)
    any_bus.drain()

    lines = texts(order.id)
    assert lines[0] == f"Order {order.number} placed: 2 × Blue mug, 1 × T-shirt M, €42.50"
    assert sorted(lines[1:3]) == ["Paid: €42.50", "Reserved: 2 × Blue mug, 1 × T-shirt M"]
    assert lines[3] == "Order confirmed"
    assert re.fullmatch(r"Shipped with Sandbox Parcel, tracking number TD\d{12}", lines[4])


def test_a_timeline_shows_every_step_of_a_cancelled_order(bus: Bus) -> None:
    order = placed(LAMP=2)
    bus.drain()

    assert "Not enough of LAMP in stock; nothing was reserved" in texts(order.id)
    assert "Order cancelled: Brass desk lamp is out of stock" in texts(order.id)
    assert texts(order.id)[-1] == "Refunded: €378.00"


@pytest.mark.parametrize("seed", range(3))
def test_a_timeline_is_in_the_order_of_events_however_they_were_delivered(
    bus: Bus, seed: int
) -> None:
    bus.duplicate_messages, bus.shuffle = True, random.Random(seed)
    order = placed()
    bus.drain()

    assert len(texts(order.id)) == len(bus.published)
    with reading() as session:
        assert [entry.type for entry in entries(session, order.id)] == [
            event.type for event in bus.published
        ]


def test_a_timeline_is_about_one_order(bus: Bus) -> None:
    one, other = placed(MUG=1), placed(TEE=1)
    bus.drain()
    assert len(texts(one.id)) == len(texts(other.id)) == 5
    assert texts("o-9") == []


def test_a_timeline_names_no_customer(bus: Bus) -> None:
    order = placed("tok_declined")
    bus.drain()
    for secret in ("Ada", "ada@", "Test Street", "tok_"):
        assert not [text for text in texts(order.id) if secret in text]


def test_an_old_order_is_shown_in_its_own_currency() -> None:
    old = order_created().model_copy(
        update={"total": order_created().total.model_copy(update={"currency": "USD"})}
    )
    assert TEXTS[type(old)](old).endswith("US$25.00")
