"""The HTTP API for operators: the alerts, their preview, and the test of the receivers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from events import clock, reading, transaction
from events.alerts import listing
from events.alerts.preview import preview
from events.settings import settings
from tasks.alert_receivers import receivers
from web.api import operators
from web.api.operators import change_problems
from web.api.ops_schemas import Because, OpsResponse
from web.security import operator_name

bp = operators.blueprint("alerts_api", __name__)


class AlertOut(OpsResponse):
    """A rule that holds, or held, for a subject."""

    rule: str = Field(examples=["new cause", "no worker"])
    subject: str = Field(examples=["payment.charge_order", "payment"])
    cause: str = Field(description="the fingerprint of dead letters, else empty")
    state: str = Field(examples=["firing", "pending", "over"])
    title: str
    text: str
    since: datetime = Field(description="the rule has held")
    raised_at: datetime | None = Field(description="the first message since then")
    notified_at: datetime | None = Field(description="the latest message that it is raised")
    messages: int = Field(description="since the rule began to hold")
    ended_at: datetime | None


class RuleOut(OpsResponse):
    """A rule of the alerts."""

    name: str
    on: bool
    limit: str
    setting: str = Field(examples=["ALERT_DEAD"])


class Alerts(BaseModel):
    """The alerts, their rules, the latest look at them, and where messages go."""

    alerts: list[AlertOut]
    rules: list[RuleOut]
    looked_at: datetime | None
    overdue: bool = Field(description="no relay has looked at the rules for a minute")
    receivers: list[str]


class WouldBeRaisedOut(OpsResponse):
    """An alert that would have been raised."""

    rule: str
    subject: str
    cause: str
    title: str
    at: datetime
    until: datetime | None = Field(description="its end; none if it is not known, or lasts")
    messages: int


class PreviewOut(OpsResponse):
    """The alerts that the rules would have raised in the last 24 hours."""

    since: datetime
    until: datetime
    alerts: list[WouldBeRaisedOut]
    notes: list[str] = Field(description="what cannot be reconstructed")


class SentTest(BaseModel):
    """The test that is under way."""

    event_id: UUID
    receivers: list[str] = Field(description="as this process knows them")


@bp.get("/alerts", responses={200: Alerts})
def list_alerts() -> dict[str, Any]:
    """List the alerts, those first whose rule holds."""
    with reading() as session:
        lines = [AlertOut.model_validate(line) for line in listing.listed(session)]
        looked_at, overdue = listing.looked_at(session)
    found = Alerts(
        alerts=lines,
        rules=[RuleOut.model_validate(line) for line in listing.rules(settings())],
        looked_at=looked_at,
        overdue=overdue,
        receivers=receivers(),
    )
    return found.model_dump(mode="json")


@bp.get("/alerts/preview", responses={200: PreviewOut})
def preview_alerts() -> dict[str, Any]:
    """Show what the rules would have raised in the last 24 hours."""
    with reading() as session:
        found = preview(session, settings(), clock.now())
    return PreviewOut.model_validate(found).model_dump(mode="json")


@bp.post("/alerts/test", responses={202: SentTest, **change_problems()})
def send_test(body: Because) -> tuple[dict[str, Any], int]:
    """Send a message to each receiver; the event's deliveries tell whether it arrived."""
    with transaction() as session:
        event_id = listing.send_test(session, who=operator_name(), why=body.why)
    return SentTest(event_id=event_id, receivers=receivers()).model_dump(mode="json"), 202
