"""The ops logins: one rule for `OPS_AUTH` and `FLOWER_BASIC_AUTH`, in web, Flower and commands.

`OPS_AUTH` is a list of `user:password:role` with commas between them. A password may be a hash as
werkzeug writes it, `scrypt:32768:8:1$salt$hash` or `pbkdf2:sha256:1000000$salt$hash`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from events.errors import BadValue

_FIX = (
    "write user:password, both in ASCII without spaces at the ends, control characters and commas; "
    'a password: python3 -c "import secrets; print(secrets.token_urlsafe(16))"'
)
_ROLE_FIX = (
    "write user:password:role, and a comma between two logins; the role is viewer, operator or "
    "administrator"
)
_HASH_FIX = (
    "copy the whole hash; in a .env file put the value in single quotes, because $ begins a "
    "variable there"
)
_FOREIGN_HASH = re.compile(r"\$(2[abxy]|apr1|argon2[a-z]*|scrypt|[1567y])\$|\{S?SHA[0-9]*\}")
_OWN_HASH_FIX = "give the password, or its hash as werkzeug writes it: scrypt:... or pbkdf2:..."
_MAX_COST = 1 << 21  # 256 MB; the default of werkzeug is an eighth of it
_HASH = re.compile(
    r"(scrypt:(?P<n>[0-9]{1,7}):(?P<r>[0-9]{1,2}):(?P<p>[0-9]{1,2})"
    r"|pbkdf2:sha(256|384|512):[1-9][0-9]{0,6})\$[A-Za-z0-9./+=_-]+\$([0-9a-f]{2})+"
)


class Role(StrEnum):
    """The rights of a login; each role has those of the one before it."""

    VIEWER = "viewer"  # reads
    OPERATOR = "operator"  # replays, discards, pauses
    ADMINISTRATOR = "administrator"  # changes products, orders and payloads too

    def covers(self, needed: "Role") -> bool:
        """Return True if this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


_NO_COMMA = re.compile(rf":({'|'.join(Role)})[;|\s]")


@dataclass(frozen=True)
class Login:
    """One of the logins of `OPS_AUTH`."""

    user: str
    password: str
    role: Role

    @property
    def is_hashed(self) -> bool:
        """True if the password is kept as a hash only."""
        return _HASH.fullmatch(self.password) is not None


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


def check_ops_auth(text: str) -> str:
    """Return the value of `OPS_AUTH`. Raises `BadValue`."""
    parse(text)
    return text


def parse(text: str) -> list[Login]:
    """Return the logins of `OPS_AUTH`, none if it is empty. Raises `BadValue`."""
    parts = text.split(",") if text else []
    logins: dict[str, Login] = {}
    for number, part in enumerate(parts, 1):
        try:
            login = _login(check_login(part), is_alone=len(parts) == 1)
        except BadValue as error:
            where = f"has several logins, of which number {number} " if len(parts) > 1 else ""
            raise BadValue(where + error.reason, error.fix) from None
        if login.user in logins:
            raise BadValue(f"has the user of login number {number} twice", _ROLE_FIX)
        logins[login.user] = login
    return list(logins.values())


def _login(text: str, *, is_alone: bool) -> Login:
    user, _, rest = text.partition(":")
    password, colon, last = rest.rpartition(":")
    if colon and last in list(Role):
        login = Login(user, password, Role(last))
    elif colon and get_close_matches(last.strip().casefold(), [*Role, "admin"], cutoff=0.75):
        raise BadValue("has a role that is written in another way", _ROLE_FIX)
    else:
        login = Login(user, rest, Role.ADMINISTRATOR)
        # Alone it is a password of before there were roles; among others it may be a typing error.
        if colon and not (is_alone or login.is_hashed):
            raise BadValue("does not end with a role, though its password has a colon", _ROLE_FIX)
    if not login.password.strip():
        raise BadValue("has no password", _FIX)
    if _NO_COMMA.search(login.password):
        raise BadValue("has no comma after a role", _ROLE_FIX)
    _check_hash(login.password)
    return login


def _check_hash(password: str) -> None:
    if _FOREIGN_HASH.match(password):  # as a password it would open /ops to who knows the hash
        raise BadValue("has a hash of another program, such as htpasswd", _OWN_HASH_FIX)
    if not password.startswith(("scrypt:", "pbkdf2:")):
        return
    found = _HASH.fullmatch(password)
    if found is None:
        raise BadValue("has a damaged hash", _HASH_FIX)
    if found["n"] and not _can_be_computed(*map(int, found.group("n", "r", "p"))):
        raise BadValue("has a hash with costs that cannot be computed here", _HASH_FIX)


def _can_be_computed(n: int, r: int, p: int) -> bool:
    """Return True for costs that OpenSSL takes within the memory that werkzeug gives it."""
    return n >= 1024 and n & (n - 1) == 0 and r * p >= 1 and n * r * p <= _MAX_COST


def flower_logins(text: str) -> str:
    """Return the logins of `OPS_AUTH` for Flower: of operators and administrators.

    Flower compares passwords as they are, so that it cannot take a hash; and it has no roles.
    Empty if none of the logins fits.
    """
    return ",".join(f"{each.user}:{each.password}" for each in _for_flower(parse(text)))


def _for_flower(logins: list[Login]) -> Iterator[Login]:
    yield from (each for each in logins if each.role.covers(Role.OPERATOR) and not each.is_hashed)
