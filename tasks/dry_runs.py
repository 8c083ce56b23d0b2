"""Dry runs of the services' handlers: in a process of their own, which imports this package."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from events.admin import dead_letters
from events.dry_runs import process
from events.dry_runs.outside import UnknownAnswer
from events.dry_runs.result import DryRun
from events.errors import NothingToReplay

SAMPLE = 3  # dead letters of a group, unless another number is asked for


def sample(
    session: Session,
    number: int,
    *,
    queue: str | None = None,
    subscription: str | None = None,
    fingerprint: str | None = None,
) -> list[str]:
    """Return the ids of some dead letters that match, the latest death first.

    Raises `NothingToReplay` if none matches.
    """
    found = dead_letters.listed(
        session, limit=number, queue=queue, subscription=subscription, fingerprint=fingerprint
    )
    if not found:
        raise NothingToReplay("no dead letter matches the selection")
    return [each.id for each in found]


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
