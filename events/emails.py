"""E-mail addresses: the form in which one is stored, and its spellings, by which it is found."""

import re
import unicodedata
from email.utils import getaddresses
from functools import lru_cache
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from events.inputs import PlainText, only_text

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

    What is no address by the rule, as another publisher may have written it, keeps its letters.
    """
    address = _bare(text)
    try:
        return email_address(address).casefold()
    except ValueError:
        return address.casefold()


def email_spellings(text: str) -> frozenset[str]:
    """Return the spellings of an e-mail address that may be stored, in lower case."""
    key = email_key(text)
    try:
        readable = validate_email(key, check_deliverability=False).normalized
    except EmailNotValidError:
        readable = key
    return frozenset({key, readable.casefold()})


def email_forms(text: str) -> frozenset[str]:
    """Return the forms to search texts for that another publisher wrote.

    Databases compare capitals beyond ASCII, and letters that are not composed, as other letters.
    """
    return frozenset(
        unicodedata.normalize(form, letters)
        for spelling in email_spellings(text)
        for letters in (spelling, spelling.upper())
        for form in ("NFC", "NFD")
    )


def _bare(text: str) -> str:
    """Return the address as a person typed it, without a name or a scheme around it."""
    typed = unicodedata.normalize("NFKC", only_text(text)).strip()
    found = [address for _, address in getaddresses([typed]) if "@" in address]
    address = found[0] if len(found) == 1 and "<" in typed else typed
    return address.removeprefix("mailto:").removesuffix(".")
