"""docker-compose.yml as Compose reads it: anchors merged, variables filled in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.yml"
OURS = "tidings:0.1.0"  # the image that is built here
_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::([-?])([^}]*))?\}")


def compose(**variables: str) -> dict[str, Any]:
    """Return the file with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` filled in.

    Raises `KeyError` with the message.
    """
    loaded: dict[str, Any] = yaml.safe_load(_fill(FILE.read_text(), variables))
    return loaded


def services(**variables: str) -> dict[str, Any]:
    """Return the services of the file, by name."""
    found: dict[str, Any] = compose(**variables)["services"]
    return found


# What an operator fills in.
FILLED_IN = {
    "POSTGRES_PASSWORD": "hBvF-5Ygtq",
    "SERVICES_PASSWORD": "q7Zt-8Rmxw",
    "BROKER_PASSWORD": "sYw9-b2fLk",
    "SECRET_KEY": "0f9d3c4a7be15268",
    "OPS_AUTH": "ada:correct horse",
    "SMTP_URL": "smtp://mail.example.org",
    "PUBLIC_URL": "https://shop.example.org",
}


def example() -> dict[str, str]:
    """Return the variables of .env.example, with what an operator fills in."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {name for name, value in given.items() if not value} == set(FILLED_IN)
    filled = given | FILLED_IN
    return {name: _fill(value, filled) for name, value in filled.items()}


def _fill(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        name, kind, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if kind == "-":
            return rest or ""
        raise KeyError(f"{name}: {rest}")

    return "\n".join(
        line if line.lstrip().startswith("#") else _VARIABLE.sub(value, line)
        for line in text.split("\n")
    )
