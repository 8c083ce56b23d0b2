"""The alert: tells the operator of dead letters, in the log and, if `OPERATOR_EMAIL` is set, by mail once an hour for each cause."""

from datetime import datetime, timedelta
from email.headerregistry import Address as Mailbox

import structlog
from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock, get_or_create_locked, reading, subscribe
from events.catalog import DeliveryDead
from tasks import gateways
from tasks.mail_texts import letter
from tasks.settings import settings

logger = structlog.get_logger("tidings.dead_letters")

QUIET = timedelta(hours=1)  # a broken gateway kills many deliveries for one cause; one mail says it


class Alert(Base):
    """A cause of dead letters: how often, since when, and when the operator was written to."""

    __tablename__ = "alerts"

    cause: Mapped[str] = mapped_column(String(520), primary_key=True)
    count: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    mailed_at: Mapped[datetime | None]
    example: Mapped[str] = mapped_column(Text)


def notify(event: DeliveryDead, key: str) -> datetime | None:
    """Say it in the log, write to the operator unless that was done for this cause lately, and tell when it was."""
    logger.error(
        "dead_letter.alert",
        subscription=event.subscription,
        event_id=event.event_id,
        attempts=event.attempts,
        error=event.fingerprint,
    )
    operator = settings().operator_email
    if not operator or _mailed_lately(_cause(event)):
        return None
    now = clock.now()
    message = letter(f"Dead letter: {event.subscription}", key=key, at=now)
    message["To"] = Mailbox(addr_spec=operator)
    message.set_content(_text(event))
    gateways.mailer().send(message)
    return now


@subscribe(DeliveryDead, queue="dead_letters", call=notify)
def alert(event: DeliveryDead, session: Session, mailed_at: datetime | None) -> None:
    """Count the dead letter under its cause."""
    now = clock.now()
    row = get_or_create_locked(
        session, Alert, _cause(event), count=0, first_at=now, last_at=now, example=event.event_id
    )
    row.count += 1
    row.last_at = now
    row.mailed_at = mailed_at or row.mailed_at


def _cause(event: DeliveryDead) -> str:
    return f"{event.subscription}: {event.fingerprint}"


def _mailed_lately(cause: str) -> bool:
    with reading() as session:
        known = session.get(Alert, cause)
    return (
        known is not None and known.mailed_at is not None and clock.now() - known.mailed_at < QUIET
    )


def _text(event: DeliveryDead) -> str:
    return (
        f"{event.subscription} could not handle {event.event_type} after {event.attempts} tries:\n\n  {event.fingerprint}\n\n"
        f"Look:     tidings dead-letters show {event.event_id}:{event.subscription}\n"
        f"Replay:   tidings dead-letters replay {event.event_id}:{event.subscription}\n\n"
        "Others that die of the same within the hour are not mailed again.\n"
    )
