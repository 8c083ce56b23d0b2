"""The bus's settings, read from the environment when first asked for."""

import logging
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator

from events.addresses import check_broker_url, check_database_url, check_postgresql_url
from events.environment import EnvironmentSettings, WrongSetting, add_check, read
from events.errors import BadValue
from events.inputs import PlainText

_YEAR = 366 * 86400  # seconds
_MANY = 1_000_000_000
_EXPORTER = "opentelemetry.exporter.otlp.proto.http"
_DSN = re.compile(r"https?://[^@/\s]+@[^@/\s]+/(?:\S+/)?[0-9]+")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _seconds(default: float, what: str) -> Any:
    description = f"seconds that {what} before an alert is raised, or off"
    return Field(default=default, ge=0, le=_YEAR, allow_inf_nan=False, description=description)


class Settings(EnvironmentSettings):
    """Each field is the environment variable of the same name in capitals."""

    as_is = ("broker_url",)  # Celery's own commands read it too
    secrets = ("database_url", "database_direct_url", "broker_url", "sentry_dsn")

    database_url: str = Field(
        default="sqlite:///var/tidings.sqlite",
        description="address of the database of the log and the ledger",
    )
    database_direct_url: str = Field(
        default="",
        description="address of PostgreSQL itself where DATABASE_URL is a pooler's, for the relay",
    )
    broker_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="address of the broker that task messages go to",
    )
    lease: float = Field(
        default=40.0,
        gt=0,
        le=_YEAR,
        allow_inf_nan=False,
        description="seconds after which a message that must have left its queue counts as lost",
    )
    max_crashes: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="starts without an end before a delivery is dead as a crash loop",
    )
    task_soft_time_limit: float = Field(
        default=25.0,
        gt=0,
        le=_YEAR,
        allow_inf_nan=False,
        description="seconds after which a handler is interrupted",
    )
    task_time_limit: float = Field(
        default=30.0,
        gt=0,
        le=_YEAR,
        allow_inf_nan=False,
        description="seconds after which a handler's process is killed",
    )
    alert_new_cause: Literal["on", "off"] = Field(
        default="on", description="alert when deliveries die of a cause of which none was dead"
    )
    alert_dead: int | None = Field(
        default=100,
        ge=0,
        le=_MANY,
        description="dead letters above which an alert is raised, or off",
    )
    alert_oldest: float | None = _seconds(900.0, "a delivery may wait")
    alert_no_worker: float | None = _seconds(120.0, "a queue may be without a worker")
    alert_relay_behind: float | None = _seconds(60.0, "an event may wait for the relay")
    alert_breaker_open: float | None = _seconds(60.0, "a breaker may be open")
    app_version: Annotated[str, PlainText(100)] = Field(
        default="",
        description="version of the application that its workers tell, in at most 100 characters",
    )
    log_level: str = Field(default="INFO", description="lowest level that is logged")
    log_format: str = Field(default="auto", description="format of the log")
    sentry_dsn: str = Field(default="", description="address that Sentry gives to a project")
    tracing: str = Field(default="off", description="tracer of requests, events and calls")

    _check_database_url = field_validator("database_url")(check_database_url)
    _check_direct_url = field_validator("database_direct_url")(check_postgresql_url)
    _check_broker_url = field_validator("broker_url")(check_broker_url)

    @field_validator(
        *("alert_dead", "alert_oldest", "alert_no_worker", "alert_relay_behind"),
        "alert_breaker_open",
        mode="before",
    )
    @classmethod
    def switch_off(cls, value: Any) -> Any:
        """Return `None` for a limit that is `off`."""
        return None if isinstance(value, str) and value.casefold() == "off" else value

    @field_validator("alert_new_cause", mode="before")
    @classmethod
    def lower(cls, value: Any) -> Any:
        """Return the word in small letters."""
        return value.casefold() if isinstance(value, str) else value

    @field_validator("log_level")
    @classmethod
    def check_log_level(cls, value: str) -> str:
        """Return the level in capitals."""
        level = logging.getLevelNamesMapping().get(value.upper())
        if not level:
            raise BadValue(f"is {value[:40]!r}, which is no level", f"write {_one_of(_LEVELS)}")
        return logging.getLevelName(level)

    @field_validator("sentry_dsn")
    @classmethod
    def check_sentry_dsn(cls, value: str) -> str:
        """Return the address, if it can be one and the package is there."""
        if not (_DSN.fullmatch(value) and _has_address(value)):
            raise BadValue("is no address of a project", "copy the DSN from the project in Sentry")
        return _needs("sentry_sdk", "sentry", value)

    @field_validator("tracing")
    @classmethod
    def check_tracing(cls, value: str) -> str:
        """Return the tracer in small letters, if its package is there."""
        known, chosen = ("off", "opentelemetry"), value.casefold()
        if chosen not in known:
            raise BadValue(f"is {value[:40]!r}, which is no tracer", "write off or opentelemetry")
        return chosen if chosen == "off" else _needs(_EXPORTER, "otel", chosen)

    @field_validator("log_format")
    @classmethod
    def check_log_format(cls, value: str) -> str:
        """Return the format in small letters."""
        known = ("auto", "console", "json")
        if value.casefold() not in known:
            raise BadValue(f"is {value[:40]!r}, which is no format", f"write {_one_of(known)}")
        return value.casefold()


def _has_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half of an IPv6 address
        return False


def _needs(package: str, extra: str, value: str) -> str:
    try:
        found = find_spec(package)
    except ModuleNotFoundError:  # of a package that contains it
        found = None
    if found is None:
        raise BadValue("needs a package that is not installed", f"install tidings[{extra}]")
    return value


def _one_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _check_time_limits() -> Iterator[WrongSetting]:
    """Refuse limits of which the one that interrupts a handler would never be reached."""
    try:
        found = Settings()
    except ValidationError:
        return  # its fields are named without this
    soft, hard = found.task_soft_time_limit, found.task_time_limit
    if soft >= hard:
        yield WrongSetting(
            "TASK_TIME_LIMIT",
            f"is {hard:g}, which is not above TASK_SOFT_TIME_LIMIT, {soft:g}: a handler that takes "
            "long would be killed before it is interrupted",
            f"raise it, or set TASK_SOFT_TIME_LIMIT below {hard:g}",
        )


add_check(_check_time_limits)


@cache
def settings() -> Settings:
    """Return this process's settings. Raises `InvalidSettings`."""
    return read(Settings)
