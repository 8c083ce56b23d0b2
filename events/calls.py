"""Outside calls: made before the transaction, those of a batch side by side on a few threads.

Each call has an idempotency key that is the same on every retry, so a call that is repeated after a
crash or a time-out does no harm. A call that takes a batch gets a group of events at a time, as
many as it answers in a moment.
"""

import contextvars
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events import context, observers, pace
from events.breakers import is_unavailable
from events.envelope import Envelope
from events.errors import CallNotMade
from events.settings import settings
from events.subscriptions import Subscription
from events.tables import delivery_id

MAX_THREADS = 8  # of one batch; more only wait for each other where one gateway is called
START_INTERVAL = 0.05  # seconds between two threads: calls that end at once need no second one
TIME_BUDGET = 10.0  # seconds of a batch after which no further call is begun; below the time limit
GROUP_TIME = 0.2  # seconds of a call for a group; on a busy machine one event takes a quarter of it
_NONE = object()  # no answer
_began: ContextVar[float | None] = ContextVar("began", default=None)  # the calls of a batch


def time_left() -> float:
    """Return the seconds until the soft time limit interrupts the call that is being made."""
    now, limit = time.monotonic(), settings().task_soft_time_limit
    return limit - (now - (_began.get() or now))


class _WrongAnswers(ValueError):
    """A number of answers that is not the one of the events: none is known to fit its event."""


@dataclass(frozen=True)
class Answer:
    """The answer of one call, or its error."""

    value: Any = None
    error: BaseException | None = None


def call_each(subscription: Subscription, envelopes: Sequence[Envelope]) -> dict[UUID, Answer]:
    """Make the subscription's call for each envelope; return the answers by event id.

    A single call is made in this thread, so that a time limit interrupts it. Of several, those that
    hang when the time limit interrupts this thread have that limit's error as answer, as have all
    that a call for a group leaves unanswered then; those not begun have `CallNotMade`. Raises what
    a call raises that is no `Exception`.
    """
    token = _began.set(time.monotonic())
    try:
        return _call_each(subscription, envelopes)
    finally:
        _began.reset(token)


def _call_each(subscription: Subscription, envelopes: Sequence[Envelope]) -> dict[UUID, Answer]:
    if len(envelopes) == 1:
        answer = _call(subscription, envelopes[0])
        if answer.error is not None and not isinstance(answer.error, Exception):
            raise answer.error
        return {envelopes[0].id: answer}
    batch = _Batch(subscription, envelopes)
    try:
        batch.run()
    except Exception as error:  # the time limit
        return batch.answers_or(error)
    return batch.answers


class _Batch:
    """The calls of one batch, and what has become of them."""

    def __init__(self, subscription: Subscription, envelopes: Sequence[Envelope]) -> None:
        self.answers: dict[UUID, Answer] = {}
        self._subscription, self._envelopes = subscription, envelopes
        self._waiting = deque(envelopes)
        self._alone: deque[Envelope] = deque()  # a group that failed has left them unanswered
        self._done: queue.SimpleQueue[tuple[UUID, Answer]] = queue.SimpleQueue()
        self._deadline = time.monotonic() + TIME_BUDGET
        self._pace = f"call of {subscription.name}"

    def work(self) -> None:
        """Make calls until none waits."""
        while group := self._take():
            if time.monotonic() >= self._deadline:
                late = Answer(error=CallNotMade("the calls before it took too long"))
                self._put(group, [late] * len(group))
            elif self._subscription.calls_batch:
                self._call_together(group)
            else:
                self._put(group, [_call(self._subscription, group[0])])

    def _take(self) -> list[Envelope]:
        """Return the next group, none if nothing waits."""
        size = self._group_size()
        group: list[Envelope] = []
        with suppress(IndexError):  # another thread was faster
            while len(group) < size:
                group.append(self._waiting.popleft())
        with suppress(IndexError):
            return group or [self._alone.popleft()]
        return []

    def _group_size(self) -> int:
        """Return the number of events that one call is likely to answer in time."""
        if not self._subscription.calls_batch:
            return 1
        return pace.batch_size(self._pace, len(self._waiting), target=GROUP_TIME, first=1)

    def _call_together(self, group: Sequence[Envelope]) -> None:
        """Make one call for a group. What it leaves unanswered is called for alone.

        Unless the other side is unavailable to everybody: that is then the answer of all.
        """
        began, answered = time.monotonic(), 0
        try:
            for answer in _answers(self._subscription, group):
                self._put([group[answered]], [answer])
                answered += 1
        except _WrongAnswers as error:
            self._put(group, [Answer(error=error)] * len(group))  # in the place of earlier ones
        except Exception as error:
            if is_unavailable(error):
                self._put(group[answered:], [Answer(error=error)] * len(group))
            elif len(group) == 1:
                self._put(group, [Answer(error=error)])
            else:
                self._alone.extend(group[answered:])
        except BaseException as error:
            self._put(group[answered:], [Answer(error=error)])
        else:
            pace.learn(self._pace, len(group), time.monotonic() - began)

    def _put(self, group: Sequence[Envelope], answers: Sequence[Answer]) -> None:
        for envelope, answer in zip(group, answers, strict=False):
            self._done.put((envelope.id, answer))

    def run(self) -> None:
        """Make all calls and collect their answers."""
        if len(self._waiting) <= self._group_size():  # a thread would be one more wake-up
            self._call_together(self._take())
        for _ in range(min(MAX_THREADS, len(self._envelopes))):
            if not (self._waiting or self._alone):
                break
            self._start_thread()
            self._collect(START_INTERVAL)
        while len(self.answers) < len(self._envelopes):
            self._collect(None)

    def _start_thread(self) -> None:
        run = contextvars.copy_context().run
        # A daemon: a call that hangs must not keep the process from ending.
        threading.Thread(target=run, args=(self.work,), name="call", daemon=True).start()

    def _collect(self, seconds: float | None) -> None:
        """Take answers for so many seconds; `None` waits for one."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while len(self.answers) < len(self._envelopes):
            try:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                event_id, answer = self._done.get(timeout=left)
            except queue.Empty:
                return
            if answer.error is not None and not isinstance(answer.error, Exception):
                raise answer.error
            self.answers[event_id] = answer
            if deadline is None:
                return

    def answers_or(self, error: Exception) -> dict[UUID, Answer]:
        """Return the answers so far; `error` for the calls that hang."""
        self._collect(0.0)
        not_made = {each.id for each in (*self._waiting, *self._alone)}
        self._waiting.clear()
        self._alone.clear()
        missing = Answer(error=error)
        return {
            each.id: Answer(error=CallNotMade("a call before it took too long"))
            if each.id in not_made
            else self.answers.get(each.id, missing)
            for each in self._envelopes
        }


def _call(subscription: Subscription, envelope: Envelope) -> Answer:
    """Make the call for one event, in its context."""
    assert subscription.call is not None
    try:
        if subscription.calls_batch:
            [answer] = _answers(subscription, [envelope])
            return answer
        event, key = envelope.event(), delivery_id(envelope.id, subscription.name)
        with (
            context.acting(context.caused_by(envelope)),
            observers.calling(subscription.name, envelope),
        ):
            return Answer(subscription.call(event, key))
    except BaseException as error:
        return Answer(error=error)


def _answers(subscription: Subscription, group: Sequence[Envelope]) -> Iterator[Answer]:
    """Make one call for a group of events; yield the answer of each as soon as it is there."""
    assert subscription.call is not None
    events = [envelope.event() for envelope in group]
    keys = [delivery_id(envelope.id, subscription.name) for envelope in group]
    with context.handling(group):
        answers = iter(subscription.call(events, keys))
        for number, envelope in enumerate(group, 1):
            answer: Any = _NONE
            try:
                with observers.calling(subscription.name, envelope):
                    answer = next(answers, _NONE)
                    if isinstance(answer, Exception):
                        raise answer
            except Exception as error:
                if error is not answer:
                    raise
            if answer is _NONE or (number == len(group) and next(answers, _NONE) is not _NONE):
                raise _WrongAnswers(
                    f"the call of {subscription.name} must yield one answer for each of its "
                    f"{len(group)} events, and no more"
                )
            yield Answer(error=answer) if isinstance(answer, Exception) else Answer(answer)
