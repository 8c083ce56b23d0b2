"""The setting of `tidings migrate` alone: no other process connects as the owner of the tables."""

from functools import cache

from pydantic import Field, field_validator

from events.addresses import check_postgresql_url
from events.environment import EnvironmentSettings, read


class Settings(EnvironmentSettings):
    """The field is the environment variable of the same name in capitals."""

    secrets = ("database_owner_url",)

    database_owner_url: str = Field(
        default="",
        description="address of PostgreSQL as the owner of the tables, for `tidings migrate`",
    )

    _check_url = field_validator("database_owner_url")(check_postgresql_url)


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises `InvalidSettings`."""
    return read(Settings)
