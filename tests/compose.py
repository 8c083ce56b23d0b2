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


def example() -> dict[str, str]:
    """Return the variables of .env.example."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


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
