"""The HTTP API for operators: the saved views."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from events import reading, transaction
from events.admin import saved_views as views
from events.search.query import MAX_LENGTH
from tasks.search_fields import QUERIES
from web.api import operators
from web.api.operators import change_problems
from web.api.ops_schemas import Because, OpsResponse
from web.errors import FieldError, InvalidInput
from web.security import operator_name

bp = operators.blueprint("views_api", __name__)


class ViewOut(OpsResponse):
    """A search of events or dead letters under a name."""

    page: views.Searched
    name: str = Field(examples=["late payments"])
    query: str = Field(examples=["queue:payment since:2026-11-25"])
    who: str
    why: str = Field(description="what it is for")
    saved_at: datetime


class Views(BaseModel):
    """All saved views."""

    views: list[ViewOut]


class NamedView(Because):
    """The view to remove, with the reason."""

    page: views.Searched
    name: Annotated[str, views.NAME]


class NewView(NamedView):
    """A search to save; one with the same name is replaced."""

    query: str = Field(min_length=1, max_length=MAX_LENGTH)


@bp.get("/views", responses={200: Views})
def list_views() -> dict[str, Any]:
    """List the saved views, by page and name."""
    return _all()


def _all() -> dict[str, Any]:
    with reading() as session:
        found = [ViewOut.model_validate(view) for view in views.listed(session)]
    return Views(views=found).model_dump(mode="json")


@bp.post("/views", responses={200: Views, **change_problems(409)})
def save_view(body: NewView) -> dict[str, Any]:
    """Save a search under a name, for everybody."""
    query = body.query.strip()
    try:
        found = QUERIES[body.page](query)
    except ValueError as error:
        raise InvalidInput([FieldError("query", str(error))]) from error
    if not found:
        raise InvalidInput([FieldError("query", "write at least one term")])
    with transaction() as session:
        views.save(session, body.page, body.name, query, who=operator_name(), why=body.why)
    return _all()


@bp.post("/views/remove", responses={200: Views, **change_problems()})
def remove_view(body: NamedView) -> dict[str, Any]:
    """Remove a view."""
    with transaction() as session:
        views.remove(session, body.page, body.name, who=operator_name(), why=body.why)
    return _all()
