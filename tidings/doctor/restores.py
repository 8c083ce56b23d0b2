"""Restores: the log is older than the world until a person has settled the difference."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from events import NotNow
from tasks import doubts, restores
from tidings.doctor.findings import Finding, describe, ok, problem, unknown

_FIX = "see `tidings doubts`; when they are settled: tidings doubts --settle --why REASON"


def check(session: Session) -> Iterator[Finding]:
    """Find restores that are not settled, and acts of the gateways that the log does not know."""
    open_restores = restores.unsettled(session)
    for each in open_restores:
        end = f"{each.log_end:%Y-%m-%d %H:%M:%S} UTC" if each.log_end else "nothing"
        yield problem(
            "restore",
            f"the log is older than the world: it was restored at {each.at:%Y-%m-%d %H:%M:%S} UTC "
            f"up to {end}, and orders up to {each.last_number} may have been given before",
            _FIX,
        )
    try:
        found = doubts.listed(session)
    except NotNow as error:
        yield unknown("restore", f"the gateways cannot be asked: {describe(error)}")
        return
    if found and open_restores:
        yield problem("restore", f"the gateways did {_acts(found)} that the log contradicts", _FIX)
    elif found:
        yield problem(
            "restore",
            f"the log is older than the world: the gateways did {_acts(found)} for orders that it "
            "does not know",
            "stop everything; then run: tidings restore --by-hand",
        )
    elif not open_restores:
        yield ok("restore", "the log knows what the gateways did")


def _acts(found: list[doubts.Doubt]) -> str:
    named = ", ".join(each.act for each in found[:3])
    return f"{len(found)} things ({named}{', ...' if len(found) > 3 else ''})"
