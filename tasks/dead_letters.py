"""The dead letters service: sends the alerts, and replays dead letters after an outage.

The relay decides which alerts are raised (`events.alerts`). A message whose worker dies before it
is recorded is sent again, with the same Message-ID or `webhook-id`.
"""

import json

from sqlalchemy.orm import Session

from events import clock, envelope, subscribe
from events.admin import breakers
from events.catalog import AlertEvent, AlertRaised, AlertResolved, BreakerClosed
from tasks import alert_texts, gateways
from tasks.gateways.ports import MAIL_RETRY_POLICY, WEBHOOK_RETRY_POLICY
from tasks.mail_settings import mailbox
from tasks.mail_texts import new_message
from tasks.settings import settings


def mail(event: AlertEvent, key: str) -> None:
    """Mail an alert to `OPERATOR_EMAIL`, if it is set."""
    operator = settings().operator_email
    if not operator:
        return
    subject, text = alert_texts.headline(event), alert_texts.body(event, settings().public_url)
    message = new_message(subject, text, to=mailbox(operator), key=key, at=clock.now())
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


def post(event: AlertEvent, key: str) -> None:
    """Post an alert to `ALERT_WEBHOOK_URL`, if it is set."""
    if not settings().alert_webhook_url:
        return
    body = {
        "type": event.type,
        "timestamp": envelope().time.isoformat(),
        "data": event.model_dump(mode="json"),
        "text": alert_texts.line(event, settings().public_url),  # the one that chat tools show
    }
    # Not the whole key: a point separates the id from the time in what is signed.
    gateways.webhook().post(key.partition(":")[0], json.dumps(body).encode())


@subscribe(
    AlertRaised,
    AlertResolved,
    queue="dead_letters",
    call=post,
    retry=WEBHOOK_RETRY_POLICY,
    depends_on="webhook",
)
def post_alert(event: AlertEvent, session: Session, _: None) -> None:
    """Record nothing but that the delivery is handled."""


@subscribe(BreakerClosed, queue="dead_letters", batch=1)
def replay_after_outage(event: BreakerClosed, session: Session) -> None:
    """Replay the dead letters of a dependency that is available again, as a canary."""
    breakers.replay_dead_letters(session, event.dependency)
