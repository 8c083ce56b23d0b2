"""Facts about the machine, without which figures cannot be compared."""

import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = (
    *("tidings", "celery", "kombu", "redis", "sqlalchemy", "psycopg", "granian"),
    *("dramatiq", "faststream", "taskiq", "taskiq-redis", "taskiq-aio-pika", "huey", "rq"),
)
_SYNCS = 200


def describe(servers: dict[str, str]) -> dict[str, Any]:
    """Return cores, CPU, memory, disk and versions. `servers` are the versions of the servers."""
    return {
        "cpu": _cpu(),
        "cores": psutil.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "disk_sync_ms": _milliseconds_for_a_sync(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "servers": servers,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _milliseconds_for_a_sync() -> float:
    """Write and sync a page again and again: the part of a commit's time that is the disk's."""
    with tempfile.NamedTemporaryFile() as file:
        began = time.perf_counter()
        for _ in range(_SYNCS):
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        return round((time.perf_counter() - began) / _SYNCS * 1000, 2)
