"""The web's own settings, read from the environment when first asked for."""

from functools import cache

from limits import parse_many
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore")

    rate_limit: str | None = Field(
        default=None,
        description="orders one address may place, such as `600/minute`; unset means any number",
    )
    max_body: int = Field(
        default=64 * 1024, ge=1024, description="bytes of a request's body; more is answered 413"
    )

    @field_validator("rate_limit")
    @classmethod
    def a_rate(cls, value: str | None) -> str | None:
        """Refuse what is no rate when the process starts, not at the first order."""
        if value:
            parse_many(value)
        return value or None


@cache
def settings() -> Settings:
    """This process's settings."""
    return Settings()
