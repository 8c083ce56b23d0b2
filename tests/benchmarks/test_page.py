"""The page of a run of the benchmarks."""

from benchmarks import page
from benchmarks.report import Result, Row

FOUND = {
    "machine": {
        "cpu": "Example",
        "cores": 2,
        "memory_gb": 25,
        "disk_sync_ms": 0.2,
        "load_before": 0.1,
        "python": "3.11",
        "servers": {"valkey": "9.1"},
        "packages": {"celery": "5.7"},
    },
    "database": "sqlite",
    "broker": "valkey",
    "quick": False,
    "rounds": 3,
    "minutes": 12.5,
}
HANDLE = Result(
    "handle",
    "effects per second",
    [
        Row("Celery | late", "effects/s", [400, 390, 410], [1, 1, 1], "at least once"),
        Row("Tidings", "effects/s", [4000, 3900, 5000], [10, 10, 12.2], "effect once"),
    ],
    ["an inbox finds no lost message"],
)


def test_the_page_names_command_and_machine_and_shows_each_figure_with_its_spread() -> None:
    text = page.write(FOUND, [HANDLE, Result("kills", "failed: stalled", [])], "run.svg")

    assert '`make bench OPTIONS="--database sqlite --broker valkey --rounds 3"`' in text
    assert "2 cores (Example), 25 GB, 0.2 ms to sync the disk" in text
    assert "The versions: Python 3.11, valkey 9.1, celery 5.7." in text
    assert "![The contenders](run.svg)" in text
    assert "| measure | guarantee | figure | times the baseline |\n" in text
    assert "| Celery \\| late | at least once | 390 / 400 / 410 effects/s | 1 / 1 / 1 |" in text
    assert "| Tidings | effect once | 3,900 / 4,000 / 5,000 effects/s | 10 / 10 / 12.2 |" in text
    assert "An inbox finds no lost message." in text
    assert text.endswith("## kills\n\nFailed: stalled.\n")
