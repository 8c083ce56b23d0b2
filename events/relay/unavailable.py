"""The queues that the broker refuses: their errors, and the back-off of each."""

from collections.abc import Iterable, Mapping

import structlog

from events import heartbeat
from events.errors import QueueUnavailable
from events.outgoing_tasks import REFUSED_DELAY
from events.tables import QueueTrouble

logger = structlog.get_logger("tidings.relay")

FIRST_DELAY, MAX_DELAY = 0.25, 5.0  # seconds between two attempts to send to a queue
FORGET_AFTER = 3 * heartbeat.INTERVAL  # seconds since an attempt was possible, and none needed
_TASKS = "ordinary tasks"
TASKS_REFUSED_FOR = 2 * REFUSED_DELAY.total_seconds()  # each is tried again earlier


class UnavailableQueues:
    """The errors of single queues by the duty that met them, and the back-off of each queue.

    A queue to which nothing could be sent is held: no delivery is put into a message for it until
    its next attempt. Every other queue goes on.
    """

    def __init__(self) -> None:
        self._errors: dict[str, dict[str, QueueUnavailable]] = {}
        self._delays: dict[str, float] = {}
        self._attempt_at: dict[str, float] = {}
        self._tasks_refused_at: dict[str, float] = {}

    def note_send(
        self, queues: Iterable[str], refused: Mapping[str, QueueUnavailable], *, now: float
    ) -> None:
        """Record the outcome of a send to `queues`."""
        for queue in queues:
            if queue in refused:
                delay = min(MAX_DELAY, max(FIRST_DELAY, self._delays.get(queue, 0.0) * 2))
                self._delays[queue], self._attempt_at[queue] = delay, now + delay
            else:
                self._release(queue)
        known = {**self._errors.get("send", {}), **refused}
        self.note(
            "send", {queue: error for queue, error in known.items() if queue in self._attempt_at}
        )

    def note_tasks(self, refused: Mapping[str, QueueUnavailable], *, now: float) -> None:
        """Record the queues that refused ordinary tasks, of which each send has other ones."""
        self._tasks_refused_at |= dict.fromkeys(refused, now)
        refusals = self._tasks_refused_at.items()
        late = [queue for queue, at in refusals if now > at + TASKS_REFUSED_FOR]
        for queue in late:
            del self._tasks_refused_at[queue]
        known = {**self._errors.get(_TASKS, {}), **refused}
        self.note(_TASKS, {queue: known[queue] for queue in self._tasks_refused_at})

    def note(self, duty: str, errors: Mapping[str, QueueUnavailable]) -> None:
        """Record the errors that `duty` met the last time, in place of those before."""
        before = self._messages()
        self._errors[duty] = dict(errors)
        after = self._messages()
        for queue in after.keys() - before.keys():
            error = after[queue]
            logger.error(
                "queue.unavailable",
                queue=queue,
                duty=duty,
                reason=error.reason,
                fix=error.fix,
                note="its deliveries wait in the ledger; other queues go on",
            )
        for queue in before.keys() - after.keys():
            logger.info("queue.back", queue=queue)

    def forget_idle(self, *, now: float) -> None:
        """Forget refusals of queues to which nothing is to be sent any more."""
        self.note_tasks({}, now=now)
        idle = [queue for queue, at in self._attempt_at.items() if now > at + FORGET_AFTER]
        for queue in idle:
            self._release(queue)
        if idle:
            self.note_send((), {}, now=now)

    def __bool__(self) -> bool:
        return any(self._errors.values())

    def held(self, *, now: float) -> set[str]:
        """Return the queues whose next attempt lies ahead."""
        return {queue for queue, at in self._attempt_at.items() if at > now}

    def next_attempt(self, *, now: float) -> float | None:
        """Return the seconds until a queue is no longer held; `None` if none is."""
        return min((at - now for at in self._attempt_at.values() if at > now), default=None)

    def troubles(self) -> dict[str, QueueTrouble]:
        """Return the reason and the fix for each queue, for the heartbeat."""
        return {
            queue: {"reason": error.reason, "fix": error.fix}
            for queue, error in sorted(self._messages().items())
        }

    def _messages(self) -> dict[str, QueueUnavailable]:
        return {queue: error for found in self._errors.values() for queue, error in found.items()}

    def _release(self, queue: str) -> None:
        self._delays.pop(queue, None)
        self._attempt_at.pop(queue, None)
