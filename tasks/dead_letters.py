"""The dead letters service: sends the alerts, and replays dead letters after an outage.

The relay decides which alerts are raised (`events.alerts`). A message whose worker dies before it
is recorded is sent again with the same Message-ID.
"""

from sqlalchemy.orm import Session

from events import clock, subscribe
from events.admin import breakers
from events.catalog import AlertEvent, AlertRaised, AlertResolved, BreakerClosed
from tasks import alert_texts, gateways
from tasks.gateways.ports import MAIL_RETRY_POLICY
from tasks.mail_settings import mailbox
from tasks.mail_texts import new_message
from tasks.settings import settings


def mail(event: AlertEvent, key: str) -> None:
    """Mail an alert to `OPERATOR_EMAIL`, if it is set."""
    operator = settings().operator_email
    if not operator:
        return
    message = new_message(alert_texts.headline(event), key=key, at=clock.now())
    message["To"] = mailbox(operator)
    message.set_content(alert_texts.body(event, settings().public_url))
    gateways.mailer().send(message)


@subscribe(
    AlertRaised,
    AlertResolved,
    queue="dead_letters",
    call=mail,
    retry=MAIL_RETRY_POLICY,
    depends_on="smtp",
)
def mail_alert(event: AlertEvent, session: Session, _: None) -> None:
    """Record nothing but that the delivery is handled."""


@subscribe(BreakerClosed, queue="dead_letters", batch=1)
def replay_after_outage(event: BreakerClosed, session: Session) -> None:
    """Replay the dead letters of a dependency that is available again, as a canary."""
    breakers.replay_dead_letters(session, event.dependency)
