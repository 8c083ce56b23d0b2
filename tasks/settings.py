"""The shop's settings, read from the environment when first asked for."""

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore")

    secret_key: str = Field(
        default="", description="signs sessions and CSRF tokens; required by the web"
    )
    ops_auth: str = Field(
        default="", description="the ops login as user:password; without it nobody can log in"
    )
    smtp_url: str = Field(
        default="smtp://127.0.0.1:1025",
        description="smtp://, smtp+starttls:// or smtps:// with user:password@ if the server wants a login",
    )
    mail_from: str = Field(default="orders@tidings.example", description="the sender of all mails")
    operator_email: str = Field(
        default="", description="who is told of dead letters; nobody if empty"
    )
    mail_dir: Path = Field(
        default=Path("var/mail"), description="where the local mail sink keeps mails"
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        description="how many reverse proxies stand in front; their forwarded address is believed",
    )
    flower_url: str = Field(
        default="", description="where Flower can be reached by an operator's browser"
    )


@cache
def settings() -> Settings:
    """This process's settings."""
    return Settings()
