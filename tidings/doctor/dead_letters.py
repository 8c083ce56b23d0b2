"""Dead letters and invalid messages, which need an operator's decision."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from events.admin import dead_letters, invalid_messages
from tidings.doctor.findings import Finding, ok, problem


def check(session: Session) -> Iterator[Finding]:
    """Count dead letters and invalid messages."""
    yield _dead_letters(dead_letters.count(session))
    yield _invalid_messages(invalid_messages.count(session))


def _dead_letters(count: int) -> Finding:
    if not count:
        return ok("dead letters", "none")
    return problem(
        "dead letters",
        f"{count} need an operator's decision",
        "`tidings dead-letters list --group` shows the causes; correct them, then replay or "
        "discard the dead letters",
    )


def _invalid_messages(count: int) -> Finding:
    if not count:
        return ok("invalid messages", "none")
    return problem(
        "invalid messages",
        f"{count} messages on the queues were no task messages of Tidings",
        "inspect them on /ops/dead-letters, find their sender, then discard them",
    )
