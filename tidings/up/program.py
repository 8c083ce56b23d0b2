"""A program that `up` runs: its code, its sockets, and the stage in which it is stopped."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from functools import partial
from importlib.metadata import entry_points
from socket import socket

from setproctitle import setproctitle


class Stage(IntEnum):
    """The order in which programs are stopped: first the intake of orders, last the broker."""

    WEB = auto()
    RELAY = auto()
    WORKERS = auto()
    FLOWER = auto()
    MAILS = auto()
    BROKER = auto()


@dataclass(frozen=True)
class Program:
    """A program of `up`. It has `grace` seconds to end when its stage is stopped.

    `sockets` are the listening sockets that stay open in its process. `niceness` is the kernel's:
    a busy machine accepts orders before it processes them.
    """

    name: str
    run: Callable[[], object]
    stage: Stage
    grace: float = 10.0
    sockets: tuple[socket, ...] = ()
    niceness: int = 0


def command(*words: str) -> partial[object]:
    """Return a program that calls the console script `words[0]` inside the forked process.

    Its modules are imported already.
    """
    return partial(_run_script, words)


def _run_script(words: Sequence[str]) -> object:
    [script] = entry_points(group="console_scripts", name=words[0])
    name_process(words)
    return script.load()()


def name_process(words: Sequence[str]) -> None:
    """Give the process the arguments and the title of the command that it runs."""
    sys.argv = list(words)
    setproctitle(f"tidings: {' '.join(words)}")


def executable(path: str, *arguments: str) -> Callable[[], object]:
    """Return a program that replaces the forked process with an executable."""
    return partial(os.execv, path, [path, *arguments])
