"""A service that charges each order at a gateway over HTTP, once, for the test of two causes."""

import json
import os
import urllib.request

from celery import Celery
from sqlalchemy.orm import Session

from events import Retry, subscribe, transport
from events.catalog import OrderCreated
from events.subscriptions import registered
from tests.events.live_app import Effect


def charge(event: OrderCreated, key: str) -> str:
    """Charge the card; an answer of another form is an error, as any other status is."""
    sent = json.dumps({"order": event.number, "token": event.payment_token}).encode()
    request = urllib.request.Request(os.environ["GATEWAY_URL"], sent, {"Idempotency-Key": key})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["charge"])


@subscribe(OrderCreated, queue="charging", call=charge, retry=Retry(attempts=1))
def record_charge(event: OrderCreated, session: Session, answer: str) -> None:
    """Record the charge."""
    session.add(Effect(number=int(event.number.removeprefix("ORD-")), what=answer))


app = Celery("charging")
app.config_from_object("celeryconfig")
transport.install(app, registered().values())
transport.configure_logging()
