"""Events: versions, upcasters, and the errors of a catalog that contradicts itself."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from pydantic import ValidationError as WrongData
from sqlalchemy import update

from events import Database, Event, transaction, upcaster
from events.errors import CatalogError, UnknownEvent
from events.event import _classes, _upcasters, catalog, decode, newest
from events.tables import LogEntry
from events.testing import Bus
from tests.events.sample import Noted, deliveries, delivery, marks, new_subscription, note


class TicketSoldV1(Event, type="sample.ticket_sold", version=1, source="sample"):
    seat: str


class TicketSoldV2(Event, type="sample.ticket_sold", version=2, source="sample"):
    row: str
    chair: int


class TicketSold(Event, type="sample.ticket_sold", version=3, source="sample"):
    row: str
    chair: int
    hall: str


@upcaster(TicketSoldV1, TicketSoldV2)
def split_seat(old: TicketSoldV1) -> TicketSoldV2:
    return TicketSoldV2(row=old.seat[0], chair=int(old.seat[1:]))


@upcaster(TicketSoldV2, TicketSold)
def with_hall(old: TicketSoldV2) -> TicketSold:
    return TicketSold(row=old.row, chair=old.chair, hall="main")


@pytest.fixture
def registry() -> Iterator[None]:
    """Restore the registered classes after the test."""
    classes, upcasters = (
        {event_type: dict(versions) for event_type, versions in _classes.items()},
        dict(_upcasters),
    )
    yield
    _classes.clear()
    _classes.update(classes)
    _upcasters.clear()
    _upcasters.update(upcasters)


def test_an_old_event_is_read_in_its_newest_version_step_by_step() -> None:
    assert decode("sample.ticket_sold", 1, {"seat": "K12"}) == TicketSold(
        row="K", chair=12, hall="main"
    )
    assert decode("sample.ticket_sold", 2, {"row": "K", "chair": 12}) == TicketSold(
        row="K", chair=12, hall="main"
    )
    assert newest("sample.ticket_sold") == 3


def test_an_event_is_frozen_and_takes_no_unknown_field() -> None:
    event = TicketSold(row="K", chair=12, hall="main")

    with pytest.raises(WrongData, match="frozen"):
        event.hall = "small"  # type: ignore[misc]  # mypy sees it too
    with pytest.raises(WrongData, match="Extra inputs"):
        TicketSold.model_validate({"row": "K", "chair": 12, "hall": "main", "price": 5})


def test_the_error_distinguishes_an_unknown_type_from_an_unknown_version() -> None:
    with pytest.raises(
        UnknownEvent, match=r"sample\.nothing v1 is unknown: this process knows no such type"
    ):
        decode("sample.nothing", 1, {})
    with pytest.raises(
        UnknownEvent,
        match=r"sample\.ticket_sold v4 is unknown: this process knows up to v3; deploy one that ",
    ):
        decode("sample.ticket_sold", 4, {})


def test_two_classes_cannot_be_the_same_version(registry: None) -> None:
    with pytest.raises(
        CatalogError,
        match=r"sample\.ticket_sold v3 is both .*TicketSold and .*Another; raise the version of ",
    ):

        class Another(Event, type="sample.ticket_sold", version=3):
            pass


def test_two_classes_of_one_name_in_two_modules_cannot_be_the_same_version(registry: None) -> None:
    fields = {"__module__": "another.module", "__qualname__": "TicketSold"}

    with pytest.raises(CatalogError, match=r"another\.module\.TicketSold"):
        type("TicketSold", (Event,), fields, type="sample.ticket_sold", version=3)


@pytest.mark.parametrize(
    ("told", "declared"),
    [
        ("its type is no line of at most 200 characters", {"type": "x" * 201}),
        ("its type is no line", {"type": "sample.\0"}),
        ("its type is empty", {"type": ""}),
        ("its source is no line of at most 100 characters", {"source": "x" * 101}),
        ("version=0; count from 1", {"version": 0}),
        ("version='2'; count from 1", {"version": "2"}),
        ("version=2147483648; count", {"version": 2**31}),
    ],
)
def test_a_class_whose_events_the_log_cannot_hold_is_refused(
    told: str, declared: dict[str, Any]
) -> None:
    with pytest.raises(CatalogError, match=f"HallBuilt: {told}"):
        type("HallBuilt", (Event,), {}, **{"type": "sample.hall_built"} | declared)
    assert newest("sample.hall_built") is None


def test_an_upcaster_leads_to_the_next_version_of_the_same_type() -> None:
    with pytest.raises(
        CatalogError,
        match="TicketSoldV1 to TicketSold: an upcaster leads from a version to the next",
    ):
        upcaster(TicketSoldV1, TicketSold)
    with pytest.raises(CatalogError, match="Noted to TicketSoldV2"):
        upcaster(Noted, TicketSoldV2)


def test_a_gap_between_versions_shows_when_the_catalog_is_read(registry: None) -> None:
    assert {TicketSoldV1, TicketSoldV2, TicketSold} <= set(catalog())
    del _upcasters[TicketSoldV1]

    with pytest.raises(CatalogError, match=r"sample\.ticket_sold v1 has no upcaster to v2"):
        list(catalog())


def test_a_class_without_a_wire_type_only_carries_fields(registry: None) -> None:
    class AboutHall(Event):
        hall: str

    class HallClosed(AboutHall, type="sample.hall_closed", source="sample"):
        pass

    assert decode("sample.hall_closed", 1, {"hall": "main"}) == HallClosed(hall="main")
    assert AboutHall not in set(catalog())


def test_each_version_has_a_json_schema_that_its_data_fits() -> None:
    schemas = {
        (each.type, each.version): Draft202012Validator(each.model_json_schema())
        for each in catalog()
    }

    schemas["sample.ticket_sold", 1].validate({"seat": "K12"})
    schemas["sample.ticket_sold", 3].validate(
        TicketSold(row="K", chair=12, hall="main").model_dump(mode="json")
    )
    with pytest.raises(ValidationError, match="Additional properties"):
        schemas["sample.ticket_sold", 3].validate(
            {"row": "K", "chair": 12, "hall": "main", "price": 5}
        )


def test_an_event_of_an_unknown_version_waits_until_its_class_is_deployed(
    any_database: Database,
) -> None:
    with Bus(subscriptions=[new_subscription()], fail_fast=False) as bus:
        note("from the future", "of today")
        with transaction() as session:
            session.execute(
                update(LogEntry)
                .where(LogEntry.data["text"].as_string() == "from the future")
                .values(version=2)
            )

        for _ in range(5):  # longer than every wait of the policy
            bus.advance(60)
        waiting, done = deliveries()
        assert (waiting.state, waiting.attempts, waiting.due_at > bus.clock()) == (
            "retrying",
            0,
            True,
        )
        assert waiting.error == (
            "sample.noted v2 is unknown: this process knows up to v1; "
            "deploy one that does, and the delivery goes on"
        )
        assert done.state == "done"

        with transaction() as session:  # stands for the deployment of a class for version 2
            session.execute(update(LogEntry).values(version=1))
        bus.advance(60)

    assert marks() == {"from the future": 1, "of today": 1}


def test_data_that_does_not_fit_its_class_is_a_failed_attempt(
    any_database: Database,
) -> None:
    with Bus(subscriptions=[new_subscription()], fail_fast=False) as bus:
        note("x")
        with transaction() as session:
            session.execute(update(LogEntry).values(data={"text": ["no text"]}))
        for _ in range(4):
            bus.advance(60)

    assert (delivery().state, delivery().attempts) == ("dead", 3)
    assert (delivery().fingerprint or "").startswith("ValidationError ")
