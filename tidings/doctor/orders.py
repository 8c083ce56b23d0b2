"""Orders that wait for an event that will not come."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from tasks import orders
from tidings.doctor.findings import Finding, or_ok, problem

_MAX_PRINTED = 5


def check(session: Session) -> Iterator[Finding]:
    """Find stuck orders."""
    yield from or_ok(
        "orders", _stuck(session), "every order has ended, is in progress or has a dead letter"
    )


def _stuck(session: Session) -> Iterator[Finding]:
    if found := orders.without_next_step(session):
        numbers = ", ".join(each.number for each in found[:_MAX_PRINTED])
        more = ", ..." if len(found) > _MAX_PRINTED else ""
        yield problem(
            "orders",
            f"stuck: {numbers}{more}; one of their deliveries was discarded",
            "cancel them on /ops/orders; the steps that were done are compensated",
        )
