"""The download of dead letters, for the operators' pages and the API."""

from collections.abc import Mapping

from flask import Response

from events import clock, reading
from events.admin import dead_letter_export
from tasks import dead_letter_report
from web.errors import FieldError, InvalidInput

FORMATS = ("csv", "jsonl", "markdown")
_NEEDED = ("subscription", "fingerprint")  # by a report, which is about one group


def export(as_format: str, filters: Mapping[str, str | None]) -> Response:
    """Return the dead letters that match as a file. Raises `InvalidInput` and `UnknownGroup`."""
    if as_format == "markdown":
        return _file(_report(filters), "text/markdown", "md")
    found = dead_letter_export.letters(**filters)
    if as_format == "csv":
        return _file(dead_letter_export.csv_lines(found), "text/csv", "csv")
    return _file(dead_letter_export.json_lines(found), "application/jsonl", "jsonl")


def _report(filters: Mapping[str, str | None]) -> str:
    if missing := [name for name in _NEEDED if not filters.get(name)]:
        text = "a report is about one group: give its subscription and its fingerprint"
        raise InvalidInput([FieldError(name, text) for name in missing])
    group = {name: str(filters[name]) for name in _NEEDED}
    with reading() as session:
        return dead_letter_report.markdown(session, **group)


def _file(content: object, kind: str, ending: str) -> Response:
    answer = Response(content, mimetype=kind)  # type: ignore[arg-type]  # a text or its lines
    name = f"dead-letters-{clock.now():%Y-%m-%d-%H%M}.{ending}"
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer
