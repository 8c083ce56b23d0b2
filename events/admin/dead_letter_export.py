"""Dead letters as CSV and as JSON lines, without a limit: they are read page by page."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from events.admin import dead_letters
from events.admin.dead_letters import DeadLetterView
from events.database import reading
from events.inputs import escaped

_PAGE = 1000
_MAX_ERROR = 500  # characters
_COLUMNS = tuple(each.name for each in fields(DeadLetterView))
# A spreadsheet runs a cell that begins so, in the letters of Chinese and Japanese keyboards too.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def letters(
    *, queue: str | None = None, subscription: str | None = None, fingerprint: str | None = None
) -> Iterator[DeadLetterView]:
    """Yield the dead letters that match, the latest death first, in transactions of its own."""
    before = None
    while True:
        with reading() as session:
            page = dead_letters.listed(
                session,
                queue=queue,
                subscription=subscription,
                fingerprint=fingerprint,
                limit=_PAGE,
                before=before,
            )
        yield from page
        if len(page) < _PAGE:
            return
        before = (page[-1].died_at, page[-1].id)


def csv_lines(found: Iterable[DeadLetterView]) -> Iterator[str]:
    """Yield a header and a line for each dead letter, with its end.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    yield _csv_line(_COLUMNS)
    for each in found:
        yield _csv_line([_cell(str(value)) for value in _values(each).values()])


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def json_lines(found: Iterable[DeadLetterView]) -> Iterator[str]:
    """Yield a JSON object for each dead letter, with the end of its line."""
    for each in found:
        yield json.dumps(_values(each)) + "\n"


def _values(letter: DeadLetterView) -> dict[str, Any]:
    values = vars(letter) | {
        "event_id": str(letter.event_id),
        "subject": letter.subject or "",
        "error": one_line(letter.error),
        "died_at": letter.died_at.isoformat(timespec="seconds"),
    }
    return {name: values[name] for name in _COLUMNS}


def one_line(error: str) -> str:
    """Return the beginning of an error on one line, with escapes for what hides or moves text."""
    return escaped(" ".join(error.split()))[:_MAX_ERROR]
