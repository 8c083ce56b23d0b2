"""What the processes of `up` say, line by line, each with the name of who said it."""

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
_LONGEST_LINE = 1 << 16  # bytes kept of a line that never ends


class Output:
    """The one way to the terminal. A line of JSON passes as it is, unless a person is looking: it names its service itself."""

    def __init__(self, stream: BinaryIO | None = None, *, terminal: bool | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self.terminal = self._stream.isatty() if terminal is None else terminal
        self._rests: dict[str, bytes] = {}
        self._colours: dict[str, str] = {}
        self._width = 0

    def expect(self, *names: str) -> None:
        """Make the column of names wide enough for these."""
        self._width = max(self._width, *map(len, names))

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self._print("up", text.encode())

    def announce(self, text: str) -> None:
        """A line for whoever started `up`, without a name before it."""
        self._write(text.encode() + b"\n")

    def feed(self, name: str, data: bytes) -> None:
        """What process `name` wrote; an unfinished line waits for its end."""
        *lines, rest = (self._rests.pop(name, b"") + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            self._print(name, line.rstrip(b"\r"))
        if rest:
            self._rests[name] = rest

    def end(self, name: str) -> None:
        """Process `name` is gone: print what it left unfinished."""
        if rest := self._rests.pop(name, b""):
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
        except OSError:  # whoever listened is gone; the processes go on all the same
            return
