"""The settings of the web alone, read from the environment at first use."""

import re
from functools import cache
from typing import Literal

from limits import RateLimitItem, parse_many
from pydantic import Field, field_validator
from werkzeug.sansio.utils import host_is_trusted

from events.environment import EnvironmentSettings, read
from events.errors import BadValue
from events.hosts import check_host

OFF = "off"

_HOST_NAME = re.compile(r"\.?[^\s/:@*\[\].][^\s/:@*\[\]]*|\[[0-9a-fA-F:.]+\]")
_HOSTS_FIX = "write host names alone, such as shop.example,www.shop.example"
_MAX_AMOUNT = 1_000_000_000
_MAX_WINDOW = 366 * 86400  # seconds


class Settings(EnvironmentSettings):
    """Settings, each from the environment variable of the same name in capitals."""

    rate_limit: str = Field(
        default="",
        description="limit on orders from one address, such as `600/minute`; `off` for none",
    )
    login_limit: str = Field(
        default="10/minute",
        description="limit on failed logins from one network, such as `10/minute`; `off` for none",
    )
    metrics_access: Literal["open", "login"] = Field(
        default="open",
        description="access to /metrics: `open` to all who reach it, or `login` for that of /ops",
    )
    max_body: int = Field(
        default=64 * 1024,
        ge=1024,
        le=1 << 30,
        description="largest request body in bytes; a larger one is answered with 413",
    )
    allowed_hosts: str = Field(
        default="",
        description="the host names of this site, separated by commas; `.shop.example` stands for "
        "all below it; unset means any",
    )

    @property
    def host_names(self) -> list[str]:
        """The names of `ALLOWED_HOSTS`."""
        return [name.removesuffix(".") for name in _names(self.allowed_hosts.lower())]

    @field_validator("allowed_hosts")
    @classmethod
    def check_host_names(cls, value: str) -> str:
        """Refuse what no request would match, such as a URL, and a list without a name."""
        names = _names(value)
        for name in names:
            if not _HOST_NAME.fullmatch(name):
                raise BadValue(f"has {name[:40]!r}, which is no host name", _HOSTS_FIX)
            host = check_host(name.removeprefix(".").strip("[]"), _HOSTS_FIX)
            if ":" not in host and not host_is_trusted(host.encode("idna").decode()):
                raise BadValue(f"has {name[:40]!r}, which no request may name", _HOSTS_FIX)
        if not names:
            raise BadValue("names no host", _HOSTS_FIX)
        return value

    @field_validator("rate_limit", "login_limit")
    @classmethod
    def parse_limit(cls, value: str) -> str:
        """Refuse a malformed rate when the process starts, not at the first request."""
        if value.casefold() == OFF:
            return OFF
        try:
            limits = parse_many(value)
        except ValueError:
            limits = []
        if not limits or not all(map(_can_be_counted, limits)):
            fix = "write a number and a time, such as 600/minute or 10000/day, or off"
            raise BadValue(f"is {value[:40]!r}, which is no rate", fix)
        return value


def _names(listed: str) -> list[str]:
    return [name for each in listed.split(",") if (name := each.strip())]


def _can_be_counted(limit: RateLimitItem) -> bool:
    return 1 <= limit.amount <= _MAX_AMOUNT and 1 <= limit.get_expiry() <= _MAX_WINDOW


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises `InvalidSettings`."""
    return read(Settings)
