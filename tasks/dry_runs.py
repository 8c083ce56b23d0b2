"""Dry runs of the services' handlers: in a process of their own, which imports this package."""

from collections.abc import Sequence

from events.dry_runs import process
from events.dry_runs.outside import UnknownAnswer
from events.dry_runs.result import DryRun


def dry_run(ids: Sequence[str], *, answer: str | None = None) -> list[DryRun]:
    """Return what the handlers of these deliveries would do; nothing is written or sent.

    `answer` is the name of the example answer with which they go on after a call. Raises
    `UnknownAnswer`, and `ValueError` for too many deliveries.
    """
    found = process.run(ids, package=__package__, skip={"celery"}, answer=answer)
    for call in (call for result in found for call in result.calls):
        if answer is not None and call.answers and answer not in call.answers:
            raise UnknownAnswer(answer, call.answers)
    return found
