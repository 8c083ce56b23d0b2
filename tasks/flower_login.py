"""The settings of Flower that the shop knows: its logins, and our page for each of its tasks."""

import os
from urllib.parse import quote

from tasks.ops_login import flower_logins
from tasks.settings import settings


def task_page(task_id: str) -> str:
    """Return the address of our page for a task; without `PUBLIC_URL` its path."""
    return f"{settings().public_url}/ops/tasks/{quote(task_id, safe=':')}"


def clean_flowers_variables() -> None:
    """Strip the variables of Flower and drop the empty ones, as it takes them as they are."""
    for name in [each for each in os.environ if each.startswith("FLOWER_")]:
        if value := os.environ.pop(name).strip():
            os.environ[name] = value


def give_flower_its_logins() -> None:
    """Set `FLOWER_BASIC_AUTH` in this process. Exit if there are logins, but none for Flower."""
    if not settings().ops_auth or os.environ.get("FLOWER_BASIC_AUTH"):
        return
    logins = flower_logins(settings().ops_auth)
    if not logins:
        raise SystemExit(
            "Flower takes no login of OPS_AUTH: it needs an operator or administrator whose "
            "password is no hash; set FLOWER_BASIC_AUTH to user:password"
        )
    os.environ["FLOWER_BASIC_AUTH"] = logins
