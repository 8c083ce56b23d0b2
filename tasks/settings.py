"""The shop's settings, read from the environment at their first use."""

from functools import cache
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.addresses import checked_address


class Settings(BaseSettings):
    """The settings; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore")

    secret_key: str = Field(
        default="", description="signs sessions and CSRF tokens; required by the web"
    )
    ops_auth: str = Field(
        default="", description="the ops login as user:password; without it there is no login"
    )
    smtp_url: str = Field(
        default="smtp://127.0.0.1:1025",
        description="smtp://, smtp+starttls:// or smtps://, with user:password@ for a login",
    )
    mail_from: str = Field(default="orders@tidings.example", description="the sender of all mails")
    operator_email: str = Field(
        default="", description="the recipient of mails about dead letters; none if empty"
    )
    mail_dir: Path = Field(
        default=Path("var/mail"), description="the folder of the local mail sink"
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        description="the number of reverse proxies whose forwarded address is trusted",
    )
    public_url: str = Field(
        default="",
        description="the address at which customers reach the shop, for the links in mails;"
        " without it mails have no link",
    )
    flower_url: str = Field(default="", description="the URL of Flower for an operator's browser")

    @field_validator("public_url")
    @classmethod
    def check_public_url(cls, value: str) -> str:
        """Return the address without a slash at its end; refuse one that no browser could open."""
        return checked_address(value) if value else ""


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings()
