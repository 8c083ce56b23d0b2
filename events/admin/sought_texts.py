"""The search for a person's texts in invalid messages, whose bytes have no known shape."""

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from events.admin.person import Person
from events.emails import email_forms
from events.tables import InvalidMessageRow

SHORTEST_SOUGHT = 4  # letters of a name that is searched for
# A text within a longer word, or an address within a longer one, is another's. The letter of an
# escape such as `\n` is no part of what follows it.
_WORD = (rb"(?:(?<![0-9a-z])|(?<=\\[bfnrt]))", rb"(?![0-9a-z])")
_ADDRESS = (rb"(?:(?<![0-9a-z])(?<![0-9a-z][._+'-])|(?<=\\[bfnrt]))", rb"(?![.-]?[0-9a-z])")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")
_ESCAPES = re.compile(rb"(?:\\u[0-9a-fA-F]{4})+")  # of JSON; encoders differ in what they escape


def sought_in(person: Person) -> re.Pattern[bytes]:
    """Return a pattern of the texts that identify the person, as they may stand in a message."""
    long_enough = [text for text in person.searchable if len(text) >= SHORTEST_SOUGHT]
    forms = sorted(form for text in long_enough for form in _forms(text))
    return re.compile(b"|".join(map(_whole, forms)) or b"(?!)")


def _whole(form: bytes) -> bytes:
    before, after = _ADDRESS if b"@" in form or b"%40" in form else _WORD
    return before + re.escape(form) + after


def contains(row: InvalidMessageRow, sought: re.Pattern[bytes]) -> bool:
    """Return true if one of these texts is in the message, also in base64 or with escapes."""
    parts = (row.headers.encode(), row.error.encode(), row.body, *_decoded_parts(row.body))
    readings = (reading for part in parts for reading in _readings(part))
    return any(sought.search(reading.lower()) for reading in readings)


def _forms(text: str) -> set[bytes]:
    """Return the forms of a text in a message: in JSON or not, its letters composed or not.

    In a form a space is a plus.
    """
    spelled = (
        email_forms(text)
        if "@" in text
        else {
            unicodedata.normalize(form, letters)
            for name in (text, text.replace(" ", "+"))
            for letters in (name, name.lower(), name.upper())
            for form in ("NFC", "NFD")
        }
    )
    return {each for text in spelled for each in (text.encode().lower(), _json_form(text))}


def _json_form(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode().lower()


def _decoded_parts(body: bytes) -> Iterator[bytes]:
    """Yield the base64 parts of a body, decoded: kombu's envelopes have such parts."""
    for part in _BASE64.findall(body):
        try:
            yield base64.b64decode(part)
        except binascii.Error:
            continue


def _readings(part: bytes) -> Iterator[bytes]:
    """Yield a part as it is, without the escapes of JSON, and also without those of a URL."""
    yield part
    if b"\\u" in part:
        part = _ESCAPES.sub(_unescaped, part)
        yield part
    if b"%" in part:
        yield unquote_to_bytes(part)


def _unescaped(escapes: re.Match[bytes]) -> bytes:
    units = bytes.fromhex(escapes[0].replace(b"\\u", b"").decode())
    return units.decode("utf-16-be", "replace").encode()
