"""The HTTP API for operators: the messages on our queues that Tidings did not send."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from events import reading, transaction
from events.admin import invalid_messages
from events.inputs import FROM_DIGITS, MAX_INTEGER
from web.api import operators
from web.api.operators import change_problems
from web.api.ops_schemas import Because, Changed, Limit
from web.api.schemas import Parameters
from web.security import operator_name

bp = operators.blueprint("invalid_messages_api", __name__)


class InvalidMessageOut(BaseModel):
    """A message as it was received, with the reason why it is none of ours."""

    id: int
    at: datetime
    queue: str
    reason: str
    error: str
    headers: str
    body: str = Field(description="its beginning; bytes that are no text are escaped")
    size: int = Field(description="bytes of the whole body")


class InvalidMessages(BaseModel):
    """The latest invalid messages that nobody has discarded."""

    invalid_messages: list[InvalidMessageOut]
    count: int = Field(description="all of them")


class InvalidMessagesQuery(Parameters):
    """The number of messages that are listed."""

    limit: Limit = 100


class InvalidMessagePath(Parameters):
    """The invalid message in the address."""

    message_id: Annotated[int, Field(ge=1, le=MAX_INTEGER), FROM_DIGITS]


@bp.get("/invalid-messages", responses={200: InvalidMessages})
def list_invalid_messages(query: InvalidMessagesQuery) -> dict[str, Any]:
    """List the invalid messages, the latest first."""
    with reading() as session:
        rows = invalid_messages.listed(session, limit=query.limit)
        found = [InvalidMessageOut(**invalid_messages.plain(row)) for row in rows]
        number = invalid_messages.count(session)
    return InvalidMessages(invalid_messages=found, count=number).model_dump(mode="json")


@bp.post("/invalid-messages/<message_id>/discard", responses={200: Changed, **change_problems()})
def discard_invalid_message(path: InvalidMessagePath, body: Because) -> dict[str, Any]:
    """Take an invalid message off the list; its row stays."""
    with transaction() as session:
        invalid_messages.discard(session, path.message_id, who=operator_name(), why=body.why)
    return Changed(changed=1).model_dump(mode="json")
