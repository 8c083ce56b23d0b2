"""The shop's settings, read from the environment at their first use."""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from events.environment import EnvironmentSettings, WrongSetting, add_check, read
from events.errors import BadValue
from events.paths import check_path
from events.settings import Settings as BusSettings
from tasks.addresses import checked_address
from tasks.mail_settings import check_mailbox, check_smtp_url
from tasks.ops_login import check_logins, check_ops_auth
from tasks.webhook_settings import (
    KEY_FIX,
    check_networks,
    check_secret,
    check_target,
    check_url,
)

# Segments of what needs no encoding: Flower takes `%` for itself, and `$` for the end of a route.
_PREFIX = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")
_FLOWER_FIX = "write http://host:5555, or the address of Flower behind your proxy"


class Settings(EnvironmentSettings):
    """The settings; each field is the environment variable of the same name in capitals."""

    as_is = ("ops_auth", "flower_basic_auth")  # Flower compares them to the last space
    secrets = (
        *("secret_key", "ops_auth", "smtp_url", "flower_basic_auth"),
        *("alert_webhook_url", "alert_webhook_secret"),
    )

    secret_key: str = Field(
        default="", description="signs sessions and CSRF tokens; required by the web"
    )
    ops_auth: str = Field(
        default="",
        description="the ops logins as user:password:role, comma-separated; without it there is no"
        " login",
    )
    smtp_url: str = Field(
        default="smtp://127.0.0.1:1025",
        description="smtp://, smtp+starttls:// or smtps://, with user:password@ for a login",
    )
    mail_from: str = Field(default="orders@tidings.example", description="the sender of all mails")
    operator_email: str = Field(
        default="", description="the recipient of alerts by mail; none if empty"
    )
    alert_webhook_secret: str = Field(
        default="", description="whsec_ secret that signs the webhook; several with spaces between"
    )
    alert_webhook_networks: str = Field(
        default="", description="networks of your own to which a webhook may lead, comma-separated"
    )
    alert_webhook_url: str = Field(
        default="", description="address that alerts are posted to; none if empty"
    )
    reservation_minutes: int = Field(
        default=2880,  # longer than "not now" of the payment lasts
        ge=1,
        le=525_600,
        description="minutes for which stock is reserved for an order that is not paid",
    )
    mail_dir: Path = Field(
        default=Path("var/mail"), description="the folder of the local mail sink"
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=100,
        description="number of reverse proxies whose forwarded headers are trusted",
    )
    public_url: str = Field(
        default="",
        description="the address at which customers reach the shop, for the links in mails;"
        " without it mails have no link",
    )
    flower_url: str = Field(default="", description="the URL of Flower for an operator's browser")
    flower_url_prefix: str = Field(default="", description="Flower's path behind a proxy")
    flower_port: int = Field(default=5555, ge=0, le=65535, description="port of Flower")
    flower_basic_auth: str = Field(default="", description="Flower's logins, comma-separated")

    _check_ops_auth = field_validator("ops_auth")(check_ops_auth)
    _check_flower_basic_auth = field_validator("flower_basic_auth")(check_logins)
    _check_smtp_url = field_validator("smtp_url")(check_smtp_url)
    _check_webhook_secret = field_validator("alert_webhook_secret")(check_secret)
    _check_webhook_networks = field_validator("alert_webhook_networks")(check_networks)
    _check_mailboxes = field_validator("mail_from", "operator_email")(check_mailbox)

    @field_validator("alert_webhook_url")
    @classmethod
    def check_webhook(cls, value: str, info: ValidationInfo) -> str:
        """Return the address of the webhook; refuse one inside the network, or without a secret."""
        check_url(value)
        secret, networks = (
            info.data.get(f"alert_webhook_{name}") for name in ("secret", "networks")
        )
        if networks is not None:  # else it is wrong by itself, as the secret may be
            check_target(value, networks)
        if secret == "":
            raise BadValue("is given without ALERT_WEBHOOK_SECRET, which signs it", KEY_FIX)
        return value

    @field_validator("mail_dir")
    @classmethod
    def check_mail_dir(cls, value: Path) -> Path:
        """Return the folder, if its path is one that a setting can give."""
        check_path(str(value))
        return value

    @field_validator("flower_url")
    @classmethod
    def check_flower_url(cls, value: str) -> str:
        """Return the URL without a slash at its end; refuse one that no browser could open."""
        return checked_address(value, _FLOWER_FIX) if value else ""

    @field_validator("flower_port", mode="before")
    @classmethod
    def refuse_service_link(cls, value: object) -> object:
        """Refuse what Kubernetes sets, with a reason that leads to it."""
        if str(value).startswith("tcp://"):
            raise BadValue(
                "is an address, which Kubernetes sets in all pods for a Service called flower",
                "set enableServiceLinks: false in the pod, or FLOWER_PORT to a number",
            )
        return value

    @field_validator("flower_url_prefix")
    @classmethod
    def check_flower_url_prefix(cls, value: str) -> str:
        """Return the prefix with a slash before it and none after it."""
        prefix = value.strip("/")
        if not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")):
            raise BadValue(f"is {value[:40]!r}, which is no path", "write /flower, or unset it")
        return f"/{prefix}"

    @field_validator("public_url")
    @classmethod
    def check_public_url(cls, value: str) -> str:
        """Return the address without a slash at its end; refuse one that no browser could open."""
        return checked_address(value) if value else ""

    @property
    def flower_link(self) -> str:
        """The address of Flower's pages, with its prefix; empty if Flower's address is unknown."""
        if not self.flower_url or self.flower_url.endswith(self.flower_url_prefix):
            return self.flower_url
        return self.flower_url + self.flower_url_prefix


def _check_brokers_of_celery() -> Iterator[WrongSetting]:
    """Refuse what Celery prefers to `BROKER_URL`: workers and relay would use two brokers."""
    try:
        ours = BusSettings().broker_url
    except ValidationError:
        return  # it is named without this
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_WRITE_URL", "CELERY_BROKER_READ_URL"):
        if os.environ.get(name) not in (None, "", ours):  # its commands set the first of them
            yield WrongSetting(
                name, "names another broker than BROKER_URL", "unset it, and set BROKER_URL alone"
            )


add_check(_check_brokers_of_celery)


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises `InvalidSettings`."""
    return read(Settings)
