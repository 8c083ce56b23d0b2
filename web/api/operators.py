"""The frame of each part of the operators' API: its login, its tag and its error responses."""

from http import HTTPStatus
from inspect import signature
from typing import Any

from flask import current_app, request
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag

from web.api.openapi import OPS_AUTH
from web.api.schemas import problems
from web.errors import FieldError, InvalidInput
from web.security import require_ops

TAG = Tag(name="ops", description="Endpoints for operators")


def blueprint(name: str, import_name: str, *, under: str = "") -> APIBlueprint:
    """Return a blueprint below `/api/v1`, which requires the ops login for every address."""
    bp = APIBlueprint(
        name,
        import_name,
        url_prefix=f"/api/v1{under}",
        abp_tags=[TAG],
        abp_security=OPS_AUTH,
        abp_responses=problems(401, 422, 429, 500, 503),
    )
    bp.before_request(_log_in)
    bp.before_request(_refuse_parameters)
    return bp


@require_ops
def _log_in() -> None:
    """Require the ops login before the request is validated."""


def _refuse_parameters() -> None:
    """Refuse parameters of an endpoint that takes none: `?dry_run=1` would change something."""
    if not request.args:
        return
    takes = signature(current_app.view_functions[str(request.endpoint)]).parameters
    if "query" not in takes:
        raise InvalidInput(FieldError(name[:100], _NO_PARAMETERS) for name in request.args)


_NO_PARAMETERS = "this address takes no parameters; what is to be done stands in the body"


def change_problems(*more: int) -> dict[str | int | HTTPStatus, Any]:
    """Describe the error responses of an endpoint that changes something."""
    return problems(400, 403, 404, 413, 415, *more)
