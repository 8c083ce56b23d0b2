"""The terminal output of `up`: the lines of all processes, each with the process's name."""

import sys
from typing import BinaryIO

import click

_COLOURS = (
    "cyan",
    "green",
    "yellow",
    "magenta",
    "blue",
    "bright_cyan",
    "bright_green",
    "bright_yellow",
    "bright_magenta",
    "bright_blue",
)
_MAX_LINE = 1 << 16  # bytes; a longer line is split


class Output:
    """The one writer to the terminal.

    On a pipe, a line of JSON passes unchanged: it names its service itself.
    """

    def __init__(self, stream: BinaryIO | None = None, *, terminal: bool | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self.terminal = self._stream.isatty() if terminal is None else terminal
        self._partial: dict[str, bytes] = {}
        self._colours: dict[str, str] = {}
        self._width = 0

    def reserve(self, *names: str) -> None:
        """Make the column of names wide enough for these."""
        self._width = max(self._width, *map(len, names))

    def log(self, text: str) -> None:
        """Print a line of the supervisor."""
        self._print("up", text.encode())

    def announce(self, text: str) -> None:
        """Print a line without a name before it."""
        self._write(text.encode() + b"\n")

    def feed(self, name: str, data: bytes) -> None:
        """Print the output of process `name`; an unfinished line is kept until its end arrives."""
        *lines, rest = (self._partial.pop(name, b"") + data).split(b"\n")
        if len(rest) > _MAX_LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            self._print(name, line.rstrip(b"\r"))
        if rest:
            self._partial[name] = rest

    def end(self, name: str) -> None:
        """Print the unfinished line of process `name`, which has ended."""
        if rest := self._partial.pop(name, b""):
            self._print(name, rest)

    def _print(self, name: str, line: bytes) -> None:
        if line.startswith(b"{") and not self.terminal:
            self._write(line + b"\n")
        elif line.strip():
            self._write(self._label(name).encode() + line + b"\n")

    def _label(self, name: str) -> str:
        label = f"{name:<{self._width}} | "
        if not self.terminal:
            return label
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return click.style(label, fg=colour)

    def _write(self, line: bytes) -> None:
        try:
            self._stream.write(line)
            self._stream.flush()
        except OSError:  # the reader of the pipe has gone; the processes must go on
            return
