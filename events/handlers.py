"""Handlers: run a subscription's handler on claimed events, and collect what these cause."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from events import context, observers
from events.calls import Answer
from events.envelope import Envelope
from events.event import Event
from events.new_entries import new_entry
from events.subscriptions import Outcome, Subscription

Handled = tuple[Envelope, Event]


def run(
    subscription: Subscription,
    session: Session,
    claimed: Sequence[Handled],
    answers: Mapping[UUID, Answer],
    begin: Callable[[UUID | None], None],
) -> list[dict[str, Any]]:
    """Run the handler and return the entries of the events that it caused, for the log.

    `begin` is called before each event with its id, or once without one where the handler takes
    the whole batch. Raises what the handler raises.
    """
    if subscription.takes_batch and claimed:
        begin(None)
        return _run_on_batch(subscription, session, claimed)
    entries: list[dict[str, Any]] = []
    for envelope, event in claimed:
        begin(envelope.id)
        answer = answers.get(envelope.id)
        values = () if answer is None else (answer.value,)
        with (
            context.acting(context.caused_by(envelope)),
            observers.handling(subscription.name, subscription.queue, [envelope]),
        ):
            entries += _entries(subscription.handler(event, session, *values))
    return entries


def _run_on_batch(
    subscription: Subscription, session: Session, claimed: Sequence[Handled]
) -> list[dict[str, Any]]:
    envelopes = [envelope for envelope, _ in claimed]
    with (
        context.handling(envelopes),
        observers.handling(subscription.name, subscription.queue, envelopes),
    ):
        returned: Any = subscription.handler([event for _, event in claimed], session)
    if returned is None:
        return []
    outcomes = [] if isinstance(returned, Event) else list(returned)
    if len(outcomes) != len(claimed):
        raise ValueError(
            f"{subscription.name} returned {type(returned).__name__} with {len(outcomes)} outcomes "
            f"for {len(claimed)} events; return a list with one for each, in their order, or None"
        )
    entries: list[dict[str, Any]] = []
    for (envelope, _), outcome in zip(claimed, outcomes, strict=True):
        with context.acting(context.caused_by(envelope)):
            entries += _entries(outcome)
    return entries


def _entries(outcome: Outcome) -> list[dict[str, Any]]:
    if outcome is None:
        return []
    return [new_entry(each) for each in ([outcome] if isinstance(outcome, Event) else outcome)]
