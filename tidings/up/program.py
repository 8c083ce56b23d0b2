"""A program that `up` runs: what it does, what it may keep open, and when it is stopped."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from socket import socket

from setproctitle import setproctitle


@dataclass(frozen=True)
class Program:
    """One process of `up`. Those of a lower `stage` are stopped first; each has `grace` seconds to end by itself."""

    name: str
    run: Callable[[], object]
    stage: int
    grace: float = 10.0
    keeps: tuple[socket, ...] = ()


def command(*words: str) -> Callable[[], object]:
    """The console script `words[0]` with its arguments, run inside the forked process: what it imports is already there."""
    return partial(_run_script, words)


def _run_script(words: Sequence[str]) -> object:
    [script] = entry_points(group="console_scripts", name=words[0])
    sys.argv = list(words)
    setproctitle(f"tidings: {' '.join(words)}")
    return script.load()()


def executable(path: str, *arguments: str) -> Callable[[], object]:
    """A program that is not written in Python."""
    return partial(os.execv, path, [path, *arguments])
