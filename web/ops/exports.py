"""/ops/dead-letters/export: the dead letters of the page as a file."""

from flask import Blueprint, Response, request

from web import forms
from web.dead_letter_export import FORMATS, export
from web.errors import FieldError, InvalidInput

bp = Blueprint("exports", __name__, url_prefix="/dead-letters/export")


@bp.get("")
def download() -> Response:
    """Download a group as Markdown for a ticket, or a list as CSV or JSON lines."""
    as_format = request.args.get("format", "")
    if as_format not in FORMATS:
        raise InvalidInput([FieldError("format", f"give one of {', '.join(FORMATS)}")])
    names = ("queue", "subscription", "fingerprint")
    given = {name: forms.stored(name, request.args.get(name, "")) for name in names}
    return export(as_format, {name: value or None for name, value in given.items()})
