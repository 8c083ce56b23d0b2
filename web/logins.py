"""The check of a name and a password against the logins of `OPS_AUTH`."""

import hmac
import secrets
from functools import lru_cache

from werkzeug.security import check_password_hash

from tasks.ops_login import Login, Role, parse
from tasks.settings import settings

_DIGEST_KEY = secrets.token_bytes(32)
# Of right logins with a hashed password, of which there are few: a hash takes a tenth of a second,
# and a browser sends the login with each request.
_right: set[bytes] = set()


def matching(user: str, password: str) -> Login | None:
    """Return the login if its password is right; none is right while `OPS_AUTH` is unset.

    The time tells neither length nor letters of a password that is kept as it is. An unknown name
    takes as long as the first one.
    """
    logins = configured()
    named = [each for each in logins if each.user == user]
    login = (named or logins or [Login("", secrets.token_hex(), Role.VIEWER)])[0]
    is_right = _is_right(login, password)
    return login if named and is_right else None


def hides(user: str) -> bool:
    """Return True if a name that was refused may be a password, which no log should have."""
    logins = configured()
    if any(not each.is_hashed and each.password in user for each in logins):
        return True
    hashed = any(each.is_hashed for each in logins)
    return hashed and user not in {each.user for each in logins}


def configured() -> tuple[Login, ...]:
    """Return the logins of `OPS_AUTH`."""
    return _parsed(settings().ops_auth)


@lru_cache(maxsize=1)
def _parsed(text: str) -> tuple[Login, ...]:
    return tuple(parse(text))


def _is_right(login: Login, password: str) -> bool:
    if not login.is_hashed:
        return hmac.compare_digest(_digest(password), _digest(login.password))
    digest = _digest(f"{login.password}\0{password}")
    if digest not in _right:
        if not check_password_hash(login.password, password):
            return False
        _right.add(digest)
    return True


def _digest(text: str) -> bytes:
    return hmac.digest(_DIGEST_KEY, text.encode(errors="replace"), "sha256")
