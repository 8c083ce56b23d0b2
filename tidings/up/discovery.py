"""The settings of a `tidings up` on this machine, for commands whose environment lacks them."""

import os
from pathlib import Path

from events.errors import BadValue
from tasks.ops_login import flower_logins
from tidings.up import broker, ports
from tidings.up.data_dir import DataDir


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of the processes of an `up` on this data directory, from its files.

    It is empty if no `up` ever used the directory. Variables that this process's environment sets
    are left out, because `up` prefers them too.
    """
    data_dir = DataDir(folder)
    if not (data_dir.folder / "up.lock").exists():
        return {}
    found = {
        "DATABASE_URL": data_dir.database_url,
        "BROKER_URL": broker.url(data_dir),
        "MAIL_DIR": str(data_dir.mails),
        "FLOWER_ADDRESS": ports.HOST,
    }
    for name in ("secret_key", "ops_auth", "flower_auth", "flower_url"):
        if (data_dir.folder / name).exists():
            found[name.upper()] = (data_dir.folder / name).read_text().strip()
    login = os.environ.get("OPS_AUTH") or found.get("OPS_AUTH", "")
    own = found.pop("FLOWER_AUTH", "")  # while Flower can take no login of OPS_AUTH
    found["FLOWER_BASIC_AUTH"] = _flower_logins(login) or own
    return {name: value for name, value in found.items() if not os.environ.get(name)}


def _flower_logins(login: str) -> str:
    try:
        return flower_logins(login)
    except BadValue:  # the command itself says what is wrong with OPS_AUTH
        return ""
