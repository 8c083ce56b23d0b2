"""Outside calls: made before the transaction, those of a batch side by side on a few threads.

Each call has an idempotency key that is the same on every retry, so a call that is repeated after a
crash or a time-out does no harm.
"""

import contextvars
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events import context, observers
from events.envelope import Envelope
from events.errors import CallNotMade
from events.subscriptions import Subscription
from events.tables import delivery_id

MAX_THREADS = 8  # of one batch; more only wait for each other where one gateway is called
START_INTERVAL = 0.05  # seconds between two threads: calls that end at once need no second one
TIME_BUDGET = 10.0  # seconds of a batch after which no further call is begun; below the time limit


@dataclass(frozen=True)
class Answer:
    """The answer of one call, or its error."""

    value: Any = None
    error: BaseException | None = None


def call_each(subscription: Subscription, envelopes: Sequence[Envelope]) -> dict[UUID, Answer]:
    """Make the subscription's call for each envelope; return the answers by event id.

    A single call is made in this thread, so that a time limit interrupts it. Of several, those that
    hang when the time limit interrupts this thread have that limit's error as answer, and those not
    begun `CallNotMade`. Raises what a call raises that is no `Exception`.
    """
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
        self._done: queue.SimpleQueue[tuple[UUID, Answer]] = queue.SimpleQueue()
        self._deadline = time.monotonic() + TIME_BUDGET

    def work(self) -> None:
        """Make calls until none waits, in a thread of its own."""
        while self._waiting:
            try:
                envelope = self._waiting.popleft()
            except IndexError:  # another thread was faster
                return
            if time.monotonic() >= self._deadline:
                answer = Answer(error=CallNotMade("the calls before it took too long"))
            else:
                answer = _call(self._subscription, envelope)
            self._done.put((envelope.id, answer))

    def run(self) -> None:
        """Make all calls and collect their answers."""
        for _ in range(min(MAX_THREADS, len(self._envelopes))):
            if not self._waiting:
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
        not_made = {each.id for each in self._waiting}
        self._waiting.clear()
        missing = Answer(error=error)
        return {
            each.id: Answer(error=CallNotMade("a call before it took too long"))
            if each.id in not_made
            else self.answers.get(each.id, missing)
            for each in self._envelopes
        }


def _call(subscription: Subscription, envelope: Envelope) -> Answer:
    assert subscription.call is not None
    try:
        event = envelope.event()
        with (
            context.acting(context.caused_by(envelope)),
            observers.calling(subscription.name, envelope),
        ):
            return Answer(subscription.call(event, delivery_id(envelope.id, subscription.name)))
    except BaseException as error:
        return Answer(error=error)
