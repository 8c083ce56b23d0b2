"""What a `tidings up` on this machine uses: for a command beside it, whose own environment tells it nothing."""

import os
from pathlib import Path

from tidings.up import broker, ports
from tidings.up.data_dir import Home


def environment(folder: Path) -> dict[str, str]:
    """The environment that an `up` on this data directory gave its processes, as far as its files tell; empty if there was none.

    What is set in this process's environment is left out: it was set there too.
    """
    home = Home(folder)
    if not (home.folder / "up.lock").exists():
        return {}
    found = {
        "DATABASE_URL": home.database_url,
        "BROKER_URL": broker.url(home),
        "MAIL_DIR": str(home.mails),
        "FLOWER_ADDRESS": ports.HOST,
    }
    for name in ("secret_key", "ops_auth", "flower_url"):
        if (home.folder / name).exists():
            found[name.upper()] = (home.folder / name).read_text().strip()
    login = os.environ.get("OPS_AUTH") or found.get("OPS_AUTH", "")
    found["FLOWER_BASIC_AUTH"] = login
    return {name: value for name, value in found.items() if not os.environ.get(name)}
