"""The output streams of the command line, which escape what their encoding lacks."""

import io
import sys
from typing import Final

ESCAPED: Final = "backslashreplace"


def escape_output() -> None:
    """Let the streams escape what their encoding lacks, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != ESCAPED:
            stream.reconfigure(errors=ESCAPED)
