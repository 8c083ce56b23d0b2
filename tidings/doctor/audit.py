"""The audit: its lines are an unbroken chain."""

from collections.abc import Iterator

from events.admin.audit_verification import verify
from events.database import Database
from tidings.doctor.findings import Finding, ok, problem

_SHOWN = 3  # faults; `tidings audit verify` lists all


def check(database: Database) -> Iterator[Finding]:
    """Verify the hash chain."""
    with database.snapshot() as session:
        found = verify(session)
    if not found.faults:
        yield ok("audit", f"the chain of {found.lines} lines is unbroken")
        return
    more = len(found.faults) - _SHOWN
    text = "; ".join(found.faults[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    fix = "find out who can write to the database; compare with a backup, and with `tidings audit"
    yield problem("audit", text, f"{fix} verify --expect`")
