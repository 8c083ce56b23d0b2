"""E-mail addresses: the form in which one is stored, and its spellings, by which it is found."""

import re
import string
import unicodedata
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import quote, unquote

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from events.inputs import PlainText, only_text

_LINK = re.compile(r"<?mailto:([^?>]*).*", re.IGNORECASE)
_AROUND = re.compile(r"[\s<>()\[\],;:\"“”„«»]+")  # what stands around an address that is typed
_LEGAL_AT_BEGIN = set("!#$%&'*+-/=?^_`{|}~")  # punctuation with which an address may begin
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# Lower case alone, so that nothing but the host is left to check.
_PLAIN_ADDRESS = re.compile(r"(?=[^@]{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@([a-z0-9.-]+)")


@lru_cache(maxsize=1024)
def _is_host(host: str) -> bool:
    """Tell whether a host is one in its stored form: customers share few, and each took 30 µs."""
    address = f"a@{host}"
    try:
        valid = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        return False
    return valid.ascii_email == address


def email_address(text: str) -> str:
    """Return an e-mail address in its one stored form: the host in lower case and in ASCII."""
    address = PlainText(254)(text)
    if (plain := _PLAIN_ADDRESS.fullmatch(address)) and _is_host(plain[1]):
        return address
    try:
        valid = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise PydanticCustomError(
            "email", "not an e-mail address: {reason}", {"reason": str(error)}
        ) from None
    return valid.ascii_email or address


Email = Annotated[str, Field(min_length=3, max_length=254), AfterValidator(email_address)]


def email_key(text: str) -> str:
    """Return the text by which two spellings of an e-mail address are equal.

    What is no address by the rule, as another publisher may have written it, keeps its letters; so
    do several addresses.
    """
    typed = _typed(text)
    [key, *others] = _keys(typed) or {_key(typed)}
    if others or key.startswith("@"):  # several addresses, or quotes that are a part of one
        return _key(typed)
    return key


def has_several_emails(text: str) -> bool:
    """Tell whether a person typed several addresses, each of which may be the one that is meant."""
    return sum(not key.startswith("@") for key in _keys(_typed(text))) > 1


def email_spellings(text: str) -> frozenset[str]:
    """Return the spellings of an e-mail address that may be stored, in lower case."""
    key = email_key(text)
    try:
        readable = validate_email(key, check_deliverability=False).normalized
    except EmailNotValidError:
        readable = key
    return frozenset({key, readable.lower()})


def email_forms(text: str) -> frozenset[str]:
    """Return the forms to search texts for that another publisher wrote, also in a URL.

    Databases compare capitals beyond ASCII, and letters that are not composed, as other letters.
    ASCII letters are in lower case.
    """
    written = {
        unicodedata.normalize(form, letters)
        for spelling in email_spellings(text)
        for letters in (spelling, _capitals(spelling))
        for form in ("NFC", "NFD")
    }
    forms = written | {quote(each, safe="") for each in written}
    return frozenset(form.translate(_ASCII_LOWER) for form in forms)


def _capitals(text: str) -> str:
    """Return the text in capitals, but for letters whose capital is two, such as that of ß."""
    return "".join(each.upper() if len(each.upper()) == 1 else each for each in text)


def _typed(text: str) -> str:
    """Return what a person typed, without characters that are no text, a link and its escapes."""
    typed = unicodedata.normalize("NFKC", only_text(text)).strip()
    if link := _LINK.fullmatch(typed):
        return unquote(link[1])
    return typed if "@" in typed else unquote(typed)


def _keys(typed: str) -> set[str]:
    """Return the key of each address among the words; a mail client writes one address twice."""
    return {_key(_trimmed(word)) for word in _AROUND.split(typed) if "@" in word}


def _key(address: str) -> str:
    try:
        return email_address(address).lower()
    except ValueError:
        return address.lower()  # `casefold` makes of straße.example the host strasse.example


def _trimmed(word: str) -> str:
    """Return a word without the punctuation around it.

    What is legal at the begin of an address is removed if it stands at the end too: `*a@b.example*`
    """
    marks = {each for each in word if unicodedata.category(each)[0] in "PSC"} - {"@"}
    address = word.rstrip("".join(marks))
    at_end = set(word[len(address) :].replace("}", "{"))
    return address.lstrip("".join(marks - (_LEGAL_AT_BEGIN - at_end)))


# The letters beside which an address in a text goes on, and is another one. Scripts without
# capitals are not among them: Chinese, Japanese and Thai put no space before and after an address.
_LETTER = "0-9A-Za-z\u00c0-\u052f\u1e00-\u1fff"
_ESCAPE = "%(?:0[9AD]|2(?![7BDE])[0-9A-F]|3[A-F]|5[B-E]|7[B-E])"  # what may stand before in a URL
_BEFORE = rf"(?:(?<![{_LETTER}])(?<![{_LETTER}][._+'-])|(?<={_ESCAPE}))"
_AFTER = rf"(?![{_LETTER}])(?![.-][{_LETTER}])"


@lru_cache(maxsize=16)
def _mention(email: str) -> re.Pattern[str]:
    forms = "|".join(map(re.escape, sorted(email_forms(email))))
    return re.compile(f"{_BEFORE}(?:{forms}){_AFTER}", re.IGNORECASE)


def replace_email(value: Any, email: str, by: str) -> Any:
    """Return a text, or data of JSON, with `by` for each mention of an address.

    A longer address, in which it is contained, is another one.
    """
    if isinstance(value, dict):
        return {
            replace_email(name, email, by): replace_email(each, email, by)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [replace_email(each, email, by) for each in value]
    if not isinstance(value, str) or not _mention(email).search(value):
        return value
    key = email_key(email)
    if _is_address(value) and email_key(value) != key:
        return value
    return _mention(email).sub(lambda found: by if email_key(found[0]) == key else found[0], value)


def mentions_email(value: Any, email: str) -> bool:
    """Return True if an address is mentioned in a text, or in data of JSON."""
    return bool(replace_email(value, email, "") != value)


def _is_address(text: str) -> bool:
    try:
        return bool(email_address(text))
    except ValueError:
        return False
