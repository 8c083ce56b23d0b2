"""The settings of the web alone, read from the environment at first use."""

from functools import cache

from limits import parse_many
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings, each from the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore")

    rate_limit: str | None = Field(
        default=None,
        description="limit on orders from one address, such as `600/minute`; unset means no limit",
    )
    max_body: int = Field(
        default=64 * 1024,
        ge=1024,
        description="largest request body in bytes; a larger one is answered with 413",
    )

    @field_validator("rate_limit")
    @classmethod
    def parse_rate_limit(cls, value: str | None) -> str | None:
        """Refuse a malformed rate when the process starts, not at the first order."""
        if value:
            parse_many(value)
        return value or None


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings()
