"""The frame of each part of the operators' API: its login, its tag and its error responses."""

from http import HTTPStatus
from typing import Any

from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag

from web.api.openapi import OPS_AUTH
from web.api.schemas import problems
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
    return bp


@require_ops
def _log_in() -> None:
    """Require the ops login before the request is validated."""


def change_problems(*more: int) -> dict[str | int | HTTPStatus, Any]:
    """Describe the error responses of an endpoint that changes something."""
    return problems(400, 403, 404, 413, 415, *more)
