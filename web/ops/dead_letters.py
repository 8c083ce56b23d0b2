"""/ops/dead-letters: what no retry saved, in groups that failed alike; a person replays it or discards it, and says why."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from events import log, reading, transaction
from events.admin import dead_letters, invalid_messages
from events.admin.dead_letters import Group
from events.errors import UnknownDelivery
from events.tables import Delivery
from web.errors import FieldError, InvalidInput
from web.forms import reason
from web.security import who

bp = Blueprint("dead_letters", __name__, url_prefix="/dead-letters")
SHOWN = 100
Filter = dict[str, str]


@bp.get("")
def listed() -> ResponseReturnValue:
    """List the groups, the latest dead letters one by one, and the invalid messages."""
    chosen = {
        name: value[:300]
        for name in ("subscription", "fingerprint")
        if (value := request.args.get(name))
    }
    with reading() as session:
        return render_template(
            "ops/dead_letters.html",
            groups=_merged(dead_letters.groups(session)),
            letters=dead_letters.listed(session, limit=SHOWN, **chosen),
            chosen=chosen,
            invalid_messages=invalid_messages.listed(session, limit=SHOWN),
            invalid_messages_count=invalid_messages.count(session),
        )


@dataclass(frozen=True)
class Cause:
    """Dead letters of one subscription that failed in one place, whatever event they are of: what one button settles."""

    groups: list[Group]

    @property
    def key(self) -> str:
        """A name that a form can carry: no subscription has a space in its name."""
        return f"{self.groups[0].subscription} {self.groups[0].fingerprint}"

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(group.count for group in self.groups)

    @property
    def first(self) -> datetime:
        """When the first one died."""
        return min(group.first for group in self.groups)

    @property
    def last(self) -> datetime:
        """When the latest one died."""
        return max(group.last for group in self.groups)


def _merged(groups: list[Group]) -> list[Cause]:
    found: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        found.setdefault((group.subscription, group.fingerprint), []).append(group)
    return sorted(map(Cause, found.values()), key=lambda cause: cause.count, reverse=True)


def _asked_groups() -> list[Filter]:
    keys = request.form.getlist("only") or request.form.getlist("group")
    found = [
        dict(zip(("subscription", "fingerprint"), key.split(" ", 1), strict=False))
        for key in keys[:SHOWN]
    ]
    if not found or not all(len(each) == 2 for each in found):
        raise InvalidInput([FieldError("group", "tick what you want to replay or discard")])
    return found


@bp.post("/replay")
def replay() -> ResponseReturnValue:
    """Try the chosen groups again, from their first attempt on."""
    return _settle(dead_letters.replay, "Replayed {} of them.")


@bp.post("/discard")
def discard() -> ResponseReturnValue:
    """Give the chosen groups up."""
    return _settle(dead_letters.discard, "Discarded {} of them.")


def _settle(act: Callable[..., int], told: str) -> ResponseReturnValue:
    why, chosen = reason(), _asked_groups()
    with transaction() as session:
        done = sum(act(session, who=who(), why=why, **each) for each in chosen)
    flash(told.format(done), "done")
    return redirect(url_for(".listed"), 303)


@bp.get("/<delivery_id>")
def show(delivery_id: str) -> ResponseReturnValue:
    """Show one delivery with its event and every failed try; it may be alive still."""
    with reading() as session:
        delivery = _find(session, delivery_id)
        [envelope] = log.read(session, [delivery.event_id])
        attempts = dead_letters.attempts(session, delivery_id)
        return render_template(
            "ops/delivery.html", delivery=delivery, envelope=envelope, attempts=attempts
        )


def _find(session: Session, delivery_id: str) -> Delivery:
    event_id, subscription = dead_letters.parse(delivery_id)
    found = session.get(Delivery, (subscription, event_id))
    if found is None:
        raise UnknownDelivery(delivery_id)
    return found


@bp.post("/<delivery_id>/replay")
def replay_one(delivery_id: str) -> ResponseReturnValue:
    """Try one dead letter again."""
    return _settle_one(dead_letters.replay, delivery_id, "It is tried again.")


@bp.post("/<delivery_id>/discard")
def discard_one(delivery_id: str) -> ResponseReturnValue:
    """Give one dead letter up."""
    return _settle_one(
        dead_letters.discard, delivery_id, "It is discarded; its event stays in the log."
    )


def _settle_one(act: Callable[..., int], delivery_id: str, told: str) -> ResponseReturnValue:
    why = reason()
    with transaction() as session:
        dead = _find(session, delivery_id).state == "dead"
        if dead:
            act(session, who=who(), why=why, ids=[delivery_id])
    flash(
        told if dead else "Nothing was changed: it is not dead any more.",
        "done" if dead else "wait",
    )
    return redirect(url_for(".show", delivery_id=delivery_id), 303)


@bp.post("/invalid-messages/<int:message_id>/discard")
def discard_invalid_message(message_id: int) -> ResponseReturnValue:
    """Take an invalid message off the list; its row stays."""
    why = reason()
    with transaction() as session:
        invalid_messages.discard(session, message_id, who=who(), why=why)
    flash("The invalid message is off the list.", "done")
    return redirect(url_for(".listed"), 303)
