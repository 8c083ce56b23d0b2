"""The logins of Flower: those of `OPS_AUTH`, unless `FLOWER_BASIC_AUTH` gives others."""

import os

from tasks.ops_login import flower_logins
from tasks.settings import settings


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
