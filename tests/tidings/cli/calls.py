"""Calls of `tidings` in tests."""

import json
from typing import Any

from click.testing import CliRunner, Result

from events import reading
from events.admin import audit
from tidings.cli import main

HOUR = 3600.0
DAY = 24 * 3600.0
WHY = ("--why", "test")


def call(*words: str, **options: Any) -> Result:
    """Run `tidings` with these arguments."""
    return CliRunner().invoke(main, list(words), **options)


def told(*words: str) -> str:
    """Return the output of `tidings`, which must succeed."""
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def answered(*words: str) -> Any:
    """Return the JSON that `tidings` prints."""
    return json.loads(told(*words, "--json"))


def audited() -> list[tuple[str, str, str]]:
    """Return the action, target and reason of each line of the audit."""
    with reading() as session:
        return [(row.action, row.target, row.why) for row in audit.listed(session)]
