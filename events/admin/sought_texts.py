"""The search for a person's texts in invalid messages, whose bytes have no known shape."""

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Iterator

from events.admin.person import Person
from events.tables import InvalidMessageRow

SHORTEST_SOUGHT = 4  # letters of a name that is searched for
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")


def sought_forms(person: Person) -> set[bytes]:
    """Return the forms in which the texts that identify the person may stand in a message."""
    long_enough = (text for text in person.searchable if len(text) >= SHORTEST_SOUGHT)
    return {form for text in long_enough for form in _forms(text)}


def contains(row: InvalidMessageRow, sought: set[bytes]) -> bool:
    """Return true if one of these forms is in the message, also in base64."""
    haystack = b"\n".join((row.headers.encode(), row.error.encode(), *_readings(row.body))).lower()
    return any(form in haystack for form in sought)


def _forms(text: str) -> set[bytes]:
    """Return the forms of a text in a message: in JSON or not, its letters composed or not."""
    spelled = {
        unicodedata.normalize(form, letters)
        for letters in (text, text.lower(), text.upper())
        for form in ("NFC", "NFD")
    }
    return {each for text in spelled for each in (text.encode().lower(), _json_form(text))}


def _json_form(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode().lower()


def _readings(body: bytes) -> Iterator[bytes]:
    """Yield a body and the base64 parts in it, decoded: kombu's envelopes have such parts."""
    yield body
    for part in _BASE64.findall(body):
        try:
            yield base64.b64decode(part)
        except binascii.Error:
            continue
