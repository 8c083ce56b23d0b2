"""The selection of dead letters for an act or a list: by id, by filters, by groups, or all."""

from collections.abc import Collection
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, or_

from events import ledger
from events.errors import UnknownDelivery
from events.ledger import DEAD_BY_KEY, IS_DEAD
from events.tables import Delivery

BY_ID = "dead letters by id"  # the target of an act on several, whose ids are its parameters


class Selection(TypedDict, total=False):
    """A selection of dead letters: by id, by filters that all must match, or `everything`.

    `groups` are pairs of subscription and fingerprint.
    """

    ids: Collection[str] | None
    queue: str | None
    subscription: str | None
    fingerprint: str | None
    dependency: str | None  # that was unavailable to their last attempt
    groups: Collection[tuple[str, str]] | None
    everything: bool


def parse(delivery_id: str) -> tuple[UUID, str]:
    """Return a delivery's event id and subscription. Raises `UnknownDelivery`."""
    event_id, _, subscription = delivery_id.partition(":")
    try:
        if subscription.isprintable():  # PostgreSQL refuses to look for NUL
            return UUID(event_id), subscription
    except ValueError:
        pass
    raise UnknownDelivery(delivery_id)


def _filters(which: Selection) -> list[ColumnElement[bool]]:
    wanted = (
        (Delivery.queue, which.get("queue")),
        (Delivery.subscription, which.get("subscription")),
        (Delivery.fingerprint, which.get("fingerprint")),
        (Delivery.dependency, which.get("dependency")),
    )
    found = [column == value for column, value in wanted if value is not None]
    if (groups := which.get("groups")) is not None:
        found.append(or_(false(), *(_filters_of_group(*group) for group in groups)))
    return found


def _filters_of_group(subscription: str, fingerprint: str) -> ColumnElement[bool]:
    return and_(Delivery.subscription == subscription, Delivery.fingerprint == fingerprint)


def matching(which: Selection) -> ColumnElement[bool]:
    """Select the dead letters that match. Raises `UnknownDelivery` for an id of another form."""
    found = _filters(which)
    if (ids := which.get("ids")) is not None:
        keys = [(subscription, event_id) for event_id, subscription in map(parse, ids)]
        return and_(DEAD_BY_KEY, ledger.these(keys), *found)
    return and_(IS_DEAD, *found)


def plain(which: Selection) -> dict[str, Any]:
    """Return the selection as JSON in one form: equal selections are equal texts.

    Raises `ValueError` for an empty selection.
    """
    given: dict[str, Any] = {
        name: value for name, value in which.items() if value not in (None, False)
    }
    if not given:
        raise ValueError(
            "name the dead letters: ids, a queue, a subscription, a fingerprint, or everything=True"
        )
    if "ids" in given:
        given["ids"] = sorted(set(given["ids"]))
    if "groups" in given:
        given["groups"] = [list(each) for each in sorted(set(map(tuple, given["groups"])))]
    return given


def named(which: Selection, why: str) -> tuple[str, str, dict[str, Any]]:
    """Return the target of an act, its reason, and the selection as its parameters."""
    given: dict[str, Any] = {name: value for name, value in which.items() if value}
    ids = which.get("ids")
    if ids and len(ids) == 1:
        return next(iter(ids)), why, {}
    if ids:
        return BY_ID, why, {"ids": list(ids)}
    if groups := which.get("groups"):
        pairs = [{"subscription": name, "fingerprint": cause} for name, cause in groups]
        if len(pairs) > 1:
            return "dead letters by group", why, {"groups": pairs}
        given = pairs[0]
    if which.get("everything"):
        return "all dead letters", why, given
    words = ", ".join(f"{name} {value}" for name, value in given.items())
    return f"dead letters of {words}", why, given
