"""The command that starts a worker of a queue, as pages and commands name it."""


def worker_command(queue: str) -> str:
    """Return the command that starts a worker of a queue."""
    return f"celery -A tasks worker -Q {queue} -n {queue}@%h"
