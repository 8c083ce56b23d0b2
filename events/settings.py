"""The bus's settings, read from the environment when first asked for."""

from functools import cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore")

    database_url: str = Field(
        default="sqlite:///var/tidings.sqlite", description="the database of the log and the ledger"
    )
    broker_url: str = Field(
        default="redis://127.0.0.1:6379/0", description="the broker that task messages go to"
    )
    lease: float = Field(
        default=40.0,
        gt=0,
        description="seconds after which a message that must have left its queue counts as lost",
    )
    max_crashes: int = Field(
        default=3,
        ge=1,
        description="starts without an end before a delivery is dead as a crash loop",
    )
    task_soft_time_limit: float = Field(
        default=25.0, gt=0, description="seconds after which a handler is interrupted"
    )
    task_time_limit: float = Field(
        default=30.0, gt=0, description="seconds after which a handler's process is killed"
    )
    log_level: str = "INFO"
    log_format: str = Field(default="auto", pattern="^(auto|console|json)$")


@cache
def settings() -> Settings:
    """Return this process's settings. Raises pydantic's `ValidationError`."""
    return Settings()
