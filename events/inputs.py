"""Values that people and programs type: one rule per kind, to store and to look up.

A rule returns the value in the one form in which it is stored, or raises `PydanticCustomError`, a
`ValueError` whose text says what to do.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic import GetJsonSchemaHandler as JsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema, from_json

# As in a character class of a regular expression: characters that are no text. Control characters
# (a terminal obeys C1 too), separators of lines, characters that change the direction of writing,
# and those that no reader sees: default-ignorables (Unicode's DerivedCoreProperties), blank
# letters, and the stand-in for bytes that were no UTF-8.
BREAKS = r"\u0009\u000A\u000D"
NOT_TEXT = (
    r"\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u00AD\u034F\u061C\u115F\u1160"
    r"\u17B4\u17B5\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F"
    r"\u2800\u3164\uFDD0-\uFDEF\uFEFF\uFFA0\uFFF0-\uFFFF"
)
_PLANES = range(0x10000, 0x110000, 0x10000)  # the last two characters of each are none
_BEYOND_BMP = r"\U0001BCA0-\U0001BCA3\U0001D159\U0001D173-\U0001D17A\U000E0000-\U000E00FF"
_BEYOND_BMP += r"\U000E01F0-\U000E0FFF"
_BEYOND_BMP += "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in _PLANES)
# Invisible too, but Persian, Mongolian, Indian scripts and emoji need them between other letters.
JOINERS = r"\u180B-\u180D\u180F\u200C\u200D\uFE00-\uFE0F"
_NOT_TEXT = re.compile(f"[{BREAKS}{NOT_TEXT}{_BEYOND_BMP}\ud800-\udfff]")
_JOINERS = re.compile(f"[{JOINERS}\U000e0100-\U000e01ef]")
# Not all that `str.strip` removes: U+0085 and U+2028 are refused at the end of a text too.
_SPACE = " \t\r\n\u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
_FOLDED = re.compile(f"[{BREAKS}]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_MAX_PILE = 8  # marks upon one letter; no script needs as many
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # no database stores these characters
MAX_INTEGER = 2**63 - 1  # of a column of the databases


@dataclass(frozen=True)
class PlainText:
    """The rule of a text on one line that a reader sees: `Annotated[str, PlainText(100)]`.

    White space around it is removed, and its letters are composed (NFC). Unless it is `optional`, a
    text of which nothing can be seen is refused. A text that `folds` may be typed on several lines.
    """

    max_length: int
    optional: bool = False
    folds: bool = False

    def __call__(self, text: str) -> str:
        """Return the text as it is stored."""
        text = (_FOLDED.sub(" ", text) if self.folds else text).strip(_SPACE)
        if not (text.isascii() and text.isprintable()):
            text = unicodedata.normalize("NFC", text)
            _refuse_no_text(text)
            _refuse_piles(text)
        if len(text) > self.max_length:
            raise PydanticCustomError(
                "string_too_long",
                "write at most {max_length} characters",
                {"max_length": self.max_length},
            )
        if not (self.optional and not text) and not _is_visible(text):
            raise PydanticCustomError("string_too_short", "write a text that can be seen")
        return text

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self, handler(str))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: JsonSchemaHandler
    ) -> JsonSchemaValue:
        refused = NOT_TEXT if self.folds else BREAKS + NOT_TEXT
        line = f"[^{refused}]*"
        seen = rf"^{line}[^{refused}{JOINERS}\s]{line}$"
        rule = {"maxLength": self.max_length, "pattern": f"^{line}$" if self.optional else seen}
        return handler(schema) | rule | ({} if self.optional else {"minLength": 1})


# Why an operator or a customer does what they do.
REASON = PlainText(200, optional=True, folds=True)
NEEDED_REASON = PlainText(200, folds=True)


def _refuse_no_text(text: str) -> None:
    found = _NOT_TEXT.search(text)
    if found is None:
        return
    character = found.group()
    name = unicodedata.name(character, "a control character")
    raise PydanticCustomError(
        "plain_text",
        "use plain text on one line: remove character {position}, U+{code} ({name})",
        {"position": found.start() + 1, "code": f"{ord(character):04X}", "name": name.lower()},
    )


def _refuse_piles(text: str) -> None:
    """Refuse marks piled upon one letter, which cover the lines above and below it."""
    pile = 0
    for position, each in enumerate(text, 1):
        pile = pile + 1 if unicodedata.category(each) in ("Mn", "Me") else 0
        if pile > _MAX_PILE:
            raise PydanticCustomError(
                "plain_text",
                "use plain text: remove the mark at character {position}, which is one of too many "
                "upon one letter",
                {"position": position},
            )


def _is_visible(text: str) -> bool:
    if text.isascii():
        return bool(text)
    if any(map(str.isalnum, text)):
        return True
    kinds = (unicodedata.category(each) for each in _JOINERS.sub("", text))
    # An unassigned character may be a letter that is younger than Python's tables.
    return any(kind[0] in "LNPS" or kind == "Cn" for kind in kinds)


def unseen(text: str) -> str:
    """Return the first character of a text that is no text, nor a break; empty if there is none."""
    return next((each for each in _NOT_TEXT.findall(text) if each not in "\t\r\n"), "")


def only_text(text: str) -> str:
    """Return the text without the characters that are no text, for values that nobody can mend."""
    return _NOT_TEXT.sub("", text)


def escaped(text: str) -> str:
    r"""Return the text with escapes, `\u009b`, for what a terminal would obey or hide."""
    return _NOT_TEXT.sub(lambda found: _escape(found.group()), text)


def escaped_lines(text: str) -> str:
    """Return a text of several lines, each `escaped`; a tab becomes spaces."""
    return "\n".join(map(escaped, text.expandtabs().split("\n")))


def _escape(character: str) -> str:
    pairs = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pairs[start : start + 4]}" for start in range(0, len(pairs), 4))


def integer(text: str) -> int:
    """Return the integer that is written in ASCII digits, unlike `int`: `1_0` is none."""
    number = text.strip()
    if not _INTEGER.fullmatch(number) or abs(int(number)) > MAX_INTEGER:
        raise PydanticCustomError("integer", "write a whole number in digits, such as 12")
    return int(number)


class DuplicateKey(ValueError):
    """Two equal keys in one object of JSON: parsers differ in which of their values they take."""

    def __init__(self, key: str) -> None:
        super().__init__(f"has {key[:100]!r} twice")
        self.key = key


def refuse_duplicate_keys(text: str) -> None:
    """Raise `DuplicateKey` if an object of the JSON text has two equal keys."""
    try:
        json.loads(text, object_pairs_hook=_unique)
    except DuplicateKey:
        raise
    except (ValueError, RecursionError):
        return  # pydantic reports these with a better message


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise DuplicateKey(key)
        members[key] = value
    return members


def typed_json(text: str) -> Any:
    """Return the value of JSON that a person typed.

    Raises a `ValueError` that says what it is or has: "is no JSON: ...", "has 'total' twice".
    """
    try:
        value = from_json(text, allow_inf_nan=False)
        json.dumps(value, allow_nan=False)  # `1e400` became infinite
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from error
    refuse_duplicate_keys(text)
    return value


def reason_of(error: ErrorDetails) -> str:
    """Return the words of one of pydantic's errors, without its prefix for those of a validator."""
    return error["msg"].removeprefix("Value error, ")


def _integer_of_text(value: Any) -> Any:
    return integer(value) if isinstance(value, str) else value


# For an integer in an address, where it is a text: `Annotated[int, Field(ge=1), FROM_DIGITS]`.
FROM_DIGITS = BeforeValidator(_integer_of_text)
