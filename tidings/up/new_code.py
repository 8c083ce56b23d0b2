"""The check of changed code before a restart: a new interpreter imports it and migrates.

`up` runs it beside its processes. If it fails, they go on with the code that they have.
"""

import sys

from events import TidingsError
from tidings.up.processes import worker_counts
from tidings.up.program import command
from tidings.up.warmup import freeze

if __name__ == "__main__":
    freeze()
    try:
        worker_counts(dict.fromkeys(sys.argv[1:], 1))
    except TidingsError as error:  # --scale names a queue that is gone
        sys.exit(f"Error: {error}")
    command("tidings", "migrate")()
