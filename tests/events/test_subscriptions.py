"""Subscriptions: declaration, registry and discovery."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from events import Event, subscribe
from events.errors import SubscriptionError, UnknownSubscription
from events.event import catalog
from events.subscriptions import _registry, discover, registered, subscription
from tests.events.sample import Noted, Replied
from tests.events.test_event import TicketSold, TicketSoldV1


class Abstract(Event):
    pass


def handle(event: Noted, session: Session) -> None: ...


def record(event: Noted, session: Session, answer: str) -> None: ...


def ask(event: Noted, key: str) -> str:
    return key


def ask_without_key(event: Noted) -> str:
    return ""


def _named(name: str, function: Callable[..., Any] = handle) -> Callable[..., Any]:
    def renamed(event: Any, session: Any) -> None: ...

    renamed.__name__ = name
    return renamed


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Begin with no subscription, whatever other modules registered, and restore theirs."""
    before = dict(_registry)
    _registry.clear()
    yield
    _registry.clear()
    _registry.update(before)


@pytest.mark.parametrize(
    ("declare", "handler", "message"),
    [
        (lambda: subscribe(queue="notes"), handle, r"notes\.handle has no event type"),
        (
            lambda: subscribe(Abstract, queue="notes"),
            handle,
            "Abstract has no wire type; subscribe to its subclasses",
        ),
        (lambda: subscribe(Noted, Noted, queue="notes"), handle, "names one event type twice"),
        (
            lambda: subscribe(TicketSoldV1, TicketSold, queue="notes"),
            handle,
            "name its newest version only",
        ),
        (
            lambda: subscribe(Noted, queue="Notes"),
            handle,
            "name a queue and a handler in small letters, digits and _",
        ),
        (lambda: subscribe(Noted, queue="notes.more"), handle, "in small letters"),
        (lambda: subscribe(Noted, queue=""), handle, "in small letters"),
        (lambda: subscribe(Noted, queue="n" * 60), handle, "in small letters"),
        (lambda: subscribe(Noted, queue="notes"), _named("<lambda>"), "in small letters"),
        (lambda: subscribe(Noted, queue="notes", batch=0), handle, "batch=0; it must be 1 or more"),
        (
            lambda: subscribe(Noted, queue="notes"),
            record,
            r"takes 3 arguments; write \(event, session\)",
        ),
        (
            lambda: subscribe(Noted, queue="notes", call=ask),
            handle,
            r"takes 2 arguments; write \(event, session, answer\)",
        ),
        (
            lambda: subscribe(Noted, queue="notes", call=ask_without_key),
            record,
            r"its call ask_without_key must take \(event, key\)",
        ),  # type: ignore[arg-type]
        (
            lambda: subscribe(Noted, queue="notes", call_batch=ask_without_key),
            record,
            r"its call ask_without_key must take \(events, keys\)",
        ),  # type: ignore[arg-type]
        (
            lambda: subscribe(Noted, queue="notes", call=ask, call_batch=ask),  # type: ignore[call-overload]
            record,
            "both call= and call_batch=; leave one of them out",
        ),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_at_import(
    declare: Callable[[], Any], handler: Any, message: str
) -> None:
    before = registered()

    with pytest.raises(SubscriptionError, match=message):
        declare()(handler)
    assert registered() == before


def test_without_a_size_a_batch_is_of_a_hundred_and_of_twenty_with_a_call() -> None:
    subscribe(Noted, queue="notes")(handle)
    subscribe(Noted, queue="notes", call=ask)(record)
    assert [subscription(f"notes.{name}").batch for name in ("handle", "record")] == [100, 20]
    subscribe(Noted, queue="notes", call=ask, batch=5)(record)
    assert subscription("notes.record").batch == 5


def test_a_subscription_is_named_after_its_queue_and_handler() -> None:
    def handle(event: Noted | Replied, session: Session) -> None: ...

    # mypy joins the two types into Event.
    subscribe(Noted, Replied, queue="notes", batch=5)(handle)  # type: ignore[arg-type]

    found = subscription("notes.handle")
    assert (found.queue, found.event_types, found.batch, found.call) == (
        "notes",
        ["sample.noted", "sample.replied"],
        5,
        None,
    )


def test_one_handler_may_be_registered_twice_and_another_of_its_name_may_not() -> None:
    subscribe(Noted, queue="notes")(handle)
    subscribe(Noted, queue="notes")(handle)

    with pytest.raises(
        SubscriptionError, match=r"notes\.handle is both .* and .*; rename one of the handlers"
    ):
        subscribe(Noted, queue="notes")(_named("handle"))


def test_the_error_for_an_unknown_name_lists_the_known_ones() -> None:
    subscribe(Noted, queue="notes")(handle)

    with pytest.raises(
        UnknownSubscription,
        match=r"no subscription is called 'notes.nobody'; there are: .*notes\.handle",
    ):
        subscription("notes.nobody")


def test_discover_registers_the_subscriptions_of_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shop_of_a_test"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "inner" / "__init__.py").write_text(
        "raise RuntimeError('only the modules right under it')"
    )
    (package / "cli.py").write_text("raise RuntimeError('left out')")
    (package / "loyalty.py").write_text(
        "from events import subscribe\n"
        "from tests.events.sample import Noted\n"
        "@subscribe(Noted, queue='loyalty')\n"
        "def award_points(event, session): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    assert discover("shop_of_a_test", skip=["cli"]) == ["shop_of_a_test.loyalty"]
    assert "loyalty.award_points" in registered()
    sys.modules.pop("shop_of_a_test.loyalty")


def test_the_event_types_of_the_tests_are_in_the_catalog() -> None:
    assert {Noted, Replied, TicketSold} <= set(catalog())
