"""Secrets: missing, weak and well-known ones."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from zxcvbn import zxcvbn

from events.errors import BadValue
from tasks.ops_login import parse
from tidings.doctor.findings import Finding, or_ok, problem
from tidings.http_client import is_loopback

_MIN_KEY_LENGTH, _MIN_PASSWORD_LENGTH = 16, 8
_WELL_KNOWN_WORDS = """
    admin admin123 administrator change-me change_me changeit changeme default development dev
    example guest letmein ops pass password password1 postgres qwerty rabbitmq redis root secret
    secret-key secret_key secretkey test tidings user valkey 12345678 123456789 1234567890
"""
_WELL_KNOWN = frozenset(_WELL_KNOWN_WORDS.split())
# The words of example files.
_PLACEHOLDERS = ("change", "replace", "please", "me", "this", "now", "insert", "here", "your")
_ZXCVBN_LENGTH = 72  # characters that it takes
_MIN_SCORE = 3  # of 4: more than 10^8 guesses
_NEW_KEY = 'set it to the output of: python3 -c "import secrets; print(secrets.token_hex(32))"'


def check(*, secret_key: str, ops_auth: str, urls: dict[str, str]) -> Iterator[Finding]:
    """Examine the key of the sessions, the ops login and the passwords in the URLs."""
    yield from or_ok("secret key", _key(secret_key), "SECRET_KEY is set")
    yield from or_ok("ops login", _login(ops_auth), "OPS_AUTH is set")
    findings = (
        finding
        for name, value in urls.items()
        for url in value.split(";")
        for finding in _url(name, url)
    )
    yield from or_ok("passwords", findings, "no URL has a weak password")


def is_weak(password: str, user: str) -> bool:
    """Return true if the password is short, or made of well-known words or the user's name."""
    if len(password) < _MIN_PASSWORD_LENGTH:
        return True
    known = sorted({user.casefold(), *_WELL_KNOWN, *_PLACEHOLDERS} - {""}, key=len, reverse=True)
    # zxcvbn alone takes "change-me-change-me" for a good password.
    rest = re.sub("|".join(map(re.escape, known)) + r"|[\W_]", "", password.casefold())
    if len(rest) < _MIN_PASSWORD_LENGTH // 2:
        return True
    return bool(zxcvbn(password[:_ZXCVBN_LENGTH], user_inputs=known)["score"] < _MIN_SCORE)


def _key(key: str) -> Iterator[Finding]:
    if not key:
        yield problem(
            "secret key",
            "SECRET_KEY is not set: each web process makes up its own and rejects the forms "
            "of the others",
            _NEW_KEY,
        )
    elif (
        key.casefold() in _WELL_KNOWN
        or len(key) < _MIN_KEY_LENGTH
        or len(set(key)) < _MIN_PASSWORD_LENGTH
    ):
        yield problem(
            "secret key", "SECRET_KEY is weak: whoever guesses it can forge any session", _NEW_KEY
        )


def _login(login: str) -> Iterator[Finding]:
    fix = "set it to user:password, with a password of about sixteen characters"
    if not login:
        yield problem("ops login", "OPS_AUTH is not set: the login to /ops is disabled", fix)
        return
    try:
        logins = parse(login)
    except BadValue as error:
        yield problem("ops login", f"OPS_AUTH {error.reason}: nobody can log in to /ops", error.fix)
        return
    for each in logins:
        if not each.is_hashed and is_weak(each.password, each.user):
            of = f" of {each.user}" if len(logins) > 1 else ""
            yield problem("ops login", f"the password{of} in OPS_AUTH is weak", fix)


def _url(name: str, url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.hostname is None or is_loopback(parts.hostname):
        return
    password = unquote(parts.password or "")
    if not password and name == "BROKER_URL":
        yield problem(
            "passwords",
            f"the broker at {parts.hostname} requires no password: anyone who reaches it can "
            "read and write the queues",
            "set a password on the broker and in BROKER_URL",
        )
    elif password and is_weak(password, unquote(parts.username or "")):
        yield problem(
            "passwords",
            f"the password of {parts.hostname} in {name} is weak",
            f"change it there, then in {name}",
        )
