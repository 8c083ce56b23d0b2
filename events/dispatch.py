"""Dispatch: what a worker does with the deliveries of one task message. Handlers run here only.

The claim, the handler's effect and the events it caused commit together. A batch that fails is
rolled back and run again one by one, so that only the failing delivery fails. The outside calls of
a batch are made first, side by side; each that fails is a failure of its own delivery alone.
"""

import time
from collections.abc import Sequence
from uuid import UUID

import structlog

from events import (
    breakers,
    clock,
    context,
    counts,
    failures,
    handlers,
    ledger,
    pace,
    suspects,
)
from events.attempts import Failure
from events.calls import Answer, call_each
from events.database import looking, transaction
from events.deadline import DeadlineExceeded
from events.failures import BREAKER_OPEN, release
from events.inbox import InFlight, in_flight
from events.outcome import Outcome, Report, Result
from events.subscriptions import Subscription

logger = structlog.get_logger("tidings.dispatch")

MESSAGE_TIME = 1.0  # seconds of one message after which the rest of it is given back
SLOW_TIME = 10.0  # seconds after which no further slow delivery is begun; below the time limit
HANDLER_TIME = 1.0  # seconds of one handler after which its batch is handled one by one
OTHERS_FIRST = "the deliveries before it took long"


def dispatch(
    subscription: Subscription, ids: Sequence[UUID], *, worker: str, suspect: bool = False
) -> Report:
    """Handle these deliveries, each at most once, and report their outcomes.

    `suspect` says that the message came back from a worker that died; each delivery's start is
    then counted first. Raises only database errors, when not even a failure could be written; the
    relay then sends again.
    """
    with looking() as connection:
        found = in_flight(connection, subscription.name, ids, depends_on=subscription.depends_on)
    outcomes = [Outcome(Result.DUPLICATE)] * (len(ids) - len(found))
    if any(each.paused for each in found):
        return Report([*outcomes, *release(subscription, found, wait=0.0, reason="paused")])
    found, released = failures.release_waiting(subscription, found)
    outcomes += released
    run, began = _Run(subscription, worker, found), time.monotonic()
    isolated = [each for each in found if suspect or suspects.is_suspect(each.lost_count)]
    others = [each for each in found if each not in isolated]
    others.sort(key=lambda each: each.attempts > 0)  # whoever failed holds nobody up
    if again := [each for each in isolated if suspect and each.unfinished_starts]:
        outcomes += run.isolate_again(again)
        isolated = [each for each in isolated if each not in again]
    while others:
        size = pace.batch_size(subscription.name, subscription.batch)
        outcomes += run.batch(others[:size])
        others = [*run.take_unbegun(), *others[size:]]
        left = [*others, *isolated]
        if left and any(each.breaker_open for each in outcomes):
            return Report([*outcomes, *release(subscription, left, wait=0.0, reason=BREAKER_OPEN)])
        if others and time.monotonic() - began > MESSAGE_TIME:
            return Report([*outcomes, *release(subscription, left, wait=0.0, reason=OTHERS_FIRST)])
    for index, each in enumerate(isolated):
        if index and time.monotonic() - began > MESSAGE_TIME:
            left = isolated[index:]
            return Report([*outcomes, *release(subscription, left, wait=0.0, reason=OTHERS_FIRST)])
        outcomes.append(run.isolated(each))
    return Report(outcomes)


class _Run:
    """The run of one message's deliveries by one subscription in one worker."""

    def __init__(
        self, subscription: Subscription, worker: str, deliveries: Sequence[InFlight]
    ) -> None:
        self._subscription = subscription
        self._worker = worker
        self._left = len(deliveries)
        self._message_began = time.monotonic()
        self._started_at, self._began = clock.now(), time.monotonic()
        self._slow: UUID | None = None  # the delivery that a batch's deadline interrupted
        self._unbegun: list[InFlight] = []  # those that a batch had no time for

    def take_unbegun(self) -> list[InFlight]:
        """Return the deliveries that the last batch had no time for, once."""
        unbegun, self._unbegun = self._unbegun, []
        return unbegun

    def batch(self, deliveries: Sequence[InFlight]) -> list[Outcome]:
        """Handle all in one transaction, as far as there is time; if any fails, one by one."""
        if len(deliveries) == 1:
            return [self.alone(deliveries[0])]
        answers: dict[UUID, Answer] = {}
        if self._subscription.call is not None:
            answers = call_each(self._subscription, [each.envelope for each in deliveries])
        outcomes = self._note_answers(deliveries, answers)
        good = [
            each for each in deliveries if not answers or answers[each.envelope.id].error is None
        ]
        together = self._all_at_once(good, answers) if good else []
        if together is None:
            together = self._one_by_one(good, answers)
        return [*outcomes, *together]

    def _one_by_one(
        self, deliveries: Sequence[InFlight], answers: dict[UUID, Answer]
    ) -> list[Outcome]:
        """Handle each in its own transaction; a slow one comes last, and then in its own time."""
        outcomes: list[Outcome] = []
        slow = [each for each in deliveries if each.envelope.id == self._slow]
        others, spent = [each for each in deliveries if each not in slow], 0.0
        for index, each in enumerate(others):
            if not answers and (spent > MESSAGE_TIME or self._is_late()):
                self._unbegun = [*others[index:], *slow]
                return outcomes
            try:
                answer = answers.get(each.envelope.id)
                outcomes.append(self.alone(each, answer, limit=HANDLER_TIME))
                spent += time.monotonic() - self._began
            except DeadlineExceeded:
                slow.append(each)
        for index, each in enumerate(slow):
            if index and self._is_late():
                rest = release(self._subscription, slow[index:], wait=0.0, reason=OTHERS_FIRST)
                return [*outcomes, *rest]
            outcomes.append(self.alone(each, answers.get(each.envelope.id)))
        return outcomes

    def _is_late(self) -> bool:
        return time.monotonic() - self._message_began > SLOW_TIME

    def _note_answers(
        self, deliveries: Sequence[InFlight], answers: dict[UUID, Answer]
    ) -> list[Outcome]:
        """Count the answers for the breaker and record the failed calls, in order of their end."""
        outcomes, by_id = [], {each.envelope.id: each for each in deliveries}
        for event_id, answer in answers.items():
            if answer.error is not None:
                outcomes.append(self._failed(by_id[event_id], answer.error))
            else:
                breakers.note_answered(self._subscription.depends_on)
        return outcomes

    def isolate_again(self, deliveries: Sequence[InFlight]) -> list[Outcome]:
        """Give suspects back that came back started: the relay sends one of them at a time."""
        ids = [each.envelope.id for each in deliveries]
        with transaction() as session:
            suspects.report_crash(session, self._subscription.name, ids, worker=self._worker)
        return [Outcome(Result.RETRYING, reason="its worker died")] * len(ids)

    def isolated(self, delivery: InFlight) -> Outcome:
        """Handle a suspect: count its start first."""
        envelope = delivery.envelope
        try:
            with context.acting(context.caused_by(envelope)), transaction() as session:
                may_run = suspects.record_start(
                    session, self._subscription.name, envelope.id, worker=self._worker
                )
        except Exception as error:
            return self._failed(delivery, error)
        return self.alone(delivery) if may_run else Outcome(Result.DEAD, reason="crash loop")

    def alone(
        self, delivery: InFlight, answer: Answer | None = None, *, limit: float = 0.0
    ) -> Outcome:
        """Handle one delivery in its own transaction; `answer` is that of a call made before.

        Raises `DeadlineExceeded` if the handler takes longer than `limit`, unless that is 0.
        """
        self._started_at, self._began = clock.now(), time.monotonic()
        try:
            if self._subscription.call is not None and answer is None:
                [answer] = call_each(self._subscription, [delivery.envelope]).values()
                if answer.error is not None:
                    raise answer.error
                breakers.note_answered(self._subscription.depends_on)
            claimed = self._handle(
                [delivery], {} if answer is None else {delivery.envelope.id: answer}, limit
            )
        except Exception as error:
            if DeadlineExceeded in (type(error), type(error.__cause__)):  # SQLAlchemy may wrap it
                raise DeadlineExceeded from error
            return self._failed(delivery, error)
        return Outcome(Result.HANDLED if claimed else Result.DUPLICATE)

    def _all_at_once(
        self, deliveries: Sequence[InFlight], answers: dict[UUID, Answer]
    ) -> list[Outcome] | None:
        """Handle all in one transaction; `None` if any failed, and then nothing has happened."""
        try:
            claimed = self._handle(deliveries, answers, HANDLER_TIME)
        except Exception as error:
            facts = {"size": len(deliveries), "error": type(error).__name__}
            logger.info("batch.split", subscription=self._subscription.name, **facts)
            return None
        return [
            Outcome(Result.HANDLED if each.envelope.id in claimed else Result.DUPLICATE)
            for each in deliveries
            if each not in self._unbegun
        ]

    def _handle(
        self, deliveries: Sequence[InFlight], answers: dict[UUID, Answer], limit: float
    ) -> set[UUID]:
        """Claim, run the handler for each, write and commit; return the ids that were handled."""
        events = [(each.envelope, each.envelope.event()) for each in deliveries]
        ids = [each.envelope.id for each in deliveries]
        with transaction() as session:
            failures.end_probe(session, self._subscription, deliveries)
            wakes = self._left <= len(ids)  # the window then has room for another message
            claimed = ledger.claim(session, self._subscription.name, ids, wakes=wakes)
            began = time.monotonic()  # only now: to wait for the database is no handler's fault
            ours = [each for each in events if each[0].id in claimed]
            late = handlers.run_in_time(
                self._subscription, session, ours, answers, limit=limit, begin=self._note_begun
            )
            if late:
                ledger.unclaim(session, self._subscription.name, late)
                claimed.difference_update(late)
            if self._subscription.call is None:
                breakers.note_answered(self._subscription.depends_on, len(claimed))
            done = len(ids) - len(late)
            pace.learn(self._subscription.name, done, time.monotonic() - began)
            self._left -= done
        self._unbegun = [each for each in deliveries if each.envelope.id in late]
        handled = [envelope for envelope, _ in ours if envelope.id in claimed]
        counts.note_handled(self._subscription.name, handled)
        return claimed

    def _note_begun(self, event_id: UUID | None) -> None:
        self._slow = event_id

    def _failed(self, delivery: InFlight, error: BaseException) -> Outcome:
        """Record a failure, or give the delivery back if it is not the handler's."""
        self._left -= 1
        failure = Failure(error, self._worker, self._started_at, time.monotonic() - self._began)
        return failures.settle(self._subscription, delivery, failure)
