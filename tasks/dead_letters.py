"""The dead letters service: alerts the operator in the log and by mail.

Mails are sent if `OPERATOR_EMAIL` is set, one per cause and hour.
"""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock, get_or_create_locked, reading, subscribe
from events.admin import breakers
from events.catalog import BreakerClosed, DeliveryDead
from events.inputs import escaped
from tasks import gateways
from tasks.gateways.ports import MAIL_RETRY_POLICY
from tasks.mail_settings import mailbox
from tasks.mail_texts import new_message
from tasks.settings import settings

logger = structlog.get_logger("tidings.dead_letters")

# A broken gateway makes many dead letters of one cause.
MAIL_INTERVAL = timedelta(hours=1)


class Alert(Base):
    """A cause of dead letters: their count, the first, the last, and the latest mail about them."""

    __tablename__ = "alerts"

    cause: Mapped[str] = mapped_column(String(520), primary_key=True)
    count: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    mailed_at: Mapped[datetime | None]
    example: Mapped[str] = mapped_column(Text)


def notify(event: DeliveryDead, key: str) -> datetime | None:
    """Log the dead letter and mail the operator; return the time of the mail, or nothing.

    No mail is sent if one about the same cause was sent within `MAIL_INTERVAL`.
    """
    logger.error(
        "dead_letter.alert",
        subscription=event.subscription,
        event_id=event.event_id,
        attempts=event.attempts,
        error=event.fingerprint,
    )
    operator = settings().operator_email
    if not operator or _mailed_recently(_cause(event)):
        return None
    now = clock.now()
    message = new_message(f"Dead letter: {event.subscription}", key=key, at=now)
    message["To"] = mailbox(operator)
    message.set_content(_text(event))
    gateways.mailer().send(message)
    return now


# One by one: side by side, none would see that the other had just written.
@subscribe(DeliveryDead, queue="dead_letters", call=notify, batch=1, retry=MAIL_RETRY_POLICY)
def alert(event: DeliveryDead, session: Session, mailed_at: datetime | None) -> None:
    """Count the dead letter under its cause."""
    now = clock.now()
    row = get_or_create_locked(
        session, Alert, _cause(event), count=0, first_at=now, last_at=now, example=event.event_id
    )
    row.count += 1
    row.last_at = now
    row.mailed_at = mailed_at or row.mailed_at


@subscribe(BreakerClosed, queue="dead_letters", batch=1)
def replay_after_outage(event: BreakerClosed, session: Session) -> None:
    """Replay the dead letters of a dependency that is available again, as a canary."""
    breakers.replay_dead_letters(session, event.dependency)


def _cause(event: DeliveryDead) -> str:
    return f"{event.subscription}: {event.fingerprint}"


def _mailed_recently(cause: str) -> bool:
    with reading() as session:
        known = session.get(Alert, cause)
    mailed_at = known.mailed_at if known else None
    return mailed_at is not None and clock.now() - mailed_at < MAIL_INTERVAL


def _text(event: DeliveryDead) -> str:
    delivery_id = f"{event.event_id}:{event.subscription}"
    site = settings().public_url
    page = f"Open:     {site}/ops/dead-letters/{delivery_id}\n" if site else ""
    return (
        f"{event.subscription} failed to handle {event.event_type}, in {event.attempts} attempts:"
        f"\n\n  {escaped(event.fingerprint)}\n\n"
        f"{page}"
        f"Show:     tidings dead-letters show {delivery_id}\n"
        f"Replay:   tidings dead-letters replay {delivery_id} --why REASON\n\n"
        "Further dead letters of this cause are not mailed within an hour.\n"
    )
