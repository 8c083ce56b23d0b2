"""The ops login: one rule for `OPS_AUTH` and `FLOWER_BASIC_AUTH`, in web, Flower and commands."""

from events.errors import BadValue

_FIX = (
    "write user:password, both in ASCII without spaces at the ends, control characters and commas; "
    'a password: python3 -c "import secrets; print(secrets.token_urlsafe(16))"'
)


def check_login(text: str) -> str:
    """Return the login `user:password`. Raises `BadValue`.

    Browsers send it in an encoding of their choice unless it is ASCII, and Flower splits its list
    of logins at each comma.
    """
    user, colon, password = text.partition(":")
    if not colon:
        raise BadValue("has no colon between user and password", _FIX)
    if not user.strip() or not password.strip():
        raise BadValue(f"has no {'password' if user.strip() else 'user'}", _FIX)
    if text != text.strip():
        raise BadValue("begins or ends with a space or a line break", _FIX)
    if not text.isascii() or not text.isprintable():
        raise BadValue("has characters beyond printable ASCII", _FIX)
    if "," in text:
        raise BadValue("has a comma, at which Flower would split it into two logins", _FIX)
    return text


def check_logins(text: str) -> str:
    """Return Flower's comma-separated list of logins. Raises `BadValue`."""
    for login in text.split(","):
        check_login(login)
    return text
