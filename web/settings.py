"""The settings of the web alone, read from the environment at first use."""

import re
from functools import cache
from typing import Literal

from limits import parse_many
from pydantic import Field, field_validator

from events.environment import EnvironmentSettings, read
from events.errors import BadValue

OFF = "off"

_HOST_NAME = re.compile(r"\.?[^\s/:@*\[\]]+|\[[0-9a-fA-F:.]+\]")


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
        return [name for each in self.allowed_hosts.lower().split(",") if (name := each.strip())]

    @field_validator("allowed_hosts")
    @classmethod
    def check_host_names(cls, value: str) -> str:
        """Refuse a URL or a port, which no request would match."""
        for name in filter(None, map(str.strip, value.split(","))):
            if not _HOST_NAME.fullmatch(name):
                fix = "write host names alone, such as shop.example,www.shop.example"
                raise BadValue(f"has {name[:40]!r}, which is no host name", fix)
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
        if not limits or any(each.amount < 1 or each.get_expiry() < 1 for each in limits):
            fix = "write a number and a time, such as 600/minute or 10000/day, or off"
            raise BadValue(f"is {value[:40]!r}, which is no rate", fix)
        return value


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises `InvalidSettings`."""
    return read(Settings)
