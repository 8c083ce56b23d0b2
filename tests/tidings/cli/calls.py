"""Calling `tidings` in a test."""

import json
from typing import Any

from click.testing import CliRunner, Result

from tidings.cli import main


def call(*words: str, **options: Any) -> Result:
    """Run `tidings` with these words."""
    return CliRunner().invoke(main, list(words), **options)


def told(*words: str) -> str:
    """What `tidings` says when it does what it is asked."""
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def answered(*words: str) -> Any:
    """The JSON that `tidings` prints."""
    return json.loads(told(*words, "--json"))
