"""A replay in the words of its page, for people who read it in a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from events.replays.steps import parsed
from events.replays.tables import Replay
from tidings.cli.output import counted

STEP_COLUMNS = ("step", "size", "given back", "done", "died again", "skipped")


def facts(job: Replay, seconds_left: float | None) -> Iterator[tuple[str, object]]:
    """Yield the facts of a job with their names."""
    yield "replay", job.id
    yield "kind", job.kind
    yield "state", job.state
    if job.stopped_because:
        yield "because", job.stopped_because
    yield "which", selection_words(job.selection)
    yield "given back", f"{job.released} of {job.total}"
    yield "done", job.done
    yield "died again", job.failed
    yield "skipped", f"{job.skipped}, settled meanwhile"
    yield "step", f"{job.step + 1} of {len(job.steps)}"
    yield "rate", f"{job.rate:g} each second" if job.rate else "as fast as they are handled"
    yield "stops if", f"over {100 * job.stop_above:g} % of a step die again"
    yield "by", job.who
    yield "why", job.why
    yield "began", job.created_at
    yield "ended", job.ended_at
    yield "left", seconds_left


def step_rows(job: Replay) -> Iterator[tuple[object, ...]]:
    """Yield a row for each step, the first one first."""
    for number, step in enumerate(parsed(job.steps), 1):
        size = step.size or "all others"
        yield number, size, step.released, step.done, step.failed, step.skipped


def selection_words(given: Mapping[str, Any]) -> str:
    """Return what a job replays, as its page says it."""
    if given.get("everything"):
        return "all dead letters"
    if ids := given.get("ids"):
        return f"{counted(len(ids), 'dead letter')}, chosen one by one"
    if groups := given.get("groups"):
        return ", ".join(f"{name} {cause}" for name, cause in groups)
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given.items())
