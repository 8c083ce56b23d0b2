"""The shop of tests/tasks in one process, for the commands that operate it."""

from tests.tasks.conftest import (
    any_bus,
    bus,
    bus_subscriptions,
    mail_dir,
    mail_server,
    running_mail_server,
)

__all__ = [
    "any_bus",
    "bus",
    "bus_subscriptions",
    "mail_dir",
    "mail_server",
    "running_mail_server",
]
