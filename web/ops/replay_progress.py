"""The progress of a replay in words: its headline, and a line for each of its steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from events.replays.steps import Step, parsed
from events.replays.tables import JobState, Replay
from web.filters import duration, plural, sentence, time_of_day

TONES = {
    JobState.RUNNING: "busy",
    JobState.PAUSED: "paused",
    JobState.STOPPED: "bad",
    JobState.DONE: "done",
}


@dataclass(frozen=True)
class StepLine:
    """A step as its page shows it."""

    number: int
    state: str
    tone: str
    is_current: bool
    size: int
    done: int
    failed: int
    settled: int
    note: str


@dataclass(frozen=True)
class Progress:
    """A job as its page shows it; nothing changes any more if it is `final`."""

    title: str
    lead: str
    tone: str
    steps: list[StepLine]
    final: bool
    can_go_on: bool  # it was stopped, and deliveries are left
    left: int  # not given back, or dead again
    slower: str  # half the rate, for the form


def of(job: Replay, seconds_left: float | None) -> Progress:
    """Return the progress of a job."""
    steps = list(_lines(job))
    left = max(0, job.total - job.done - job.skipped - job.open)
    return Progress(
        title=_title(job, seconds_left),
        lead=_lead(job),
        tone="wait" if job.state == JobState.DONE and job.failed else TONES[JobState(job.state)],
        steps=steps,
        final=job.ended_at is not None and not job.open,
        can_go_on=job.state == JobState.STOPPED and job.kind == "replay" and left > 0,
        left=left,
        slower=f"{job.rate / 2:g}" if job.rate else "2",
    )


def _title(job: Replay, seconds_left: float | None) -> str:
    state = job.state.capitalize()
    if job.state == JobState.STOPPED:
        rest = max(0, job.total - job.released)
        state = f"Stopped at step {job.step + 1}" if len(job.steps) > 1 else state
        verb = "is" if rest == 1 else "are"
        return f"{state}: {job.failed:,} died again, {rest:,} {verb} untouched"
    ends = f", done in {duration(seconds_left)}" if seconds_left is not None else ""
    return f"{state}: {job.done:,} of {job.total:,} handled, {job.failed:,} died again{ends}"


def _lead(job: Replay) -> str:
    if job.stopped_because:
        return sentence(job.stopped_because)
    if job.state == JobState.PAUSED:
        return "Nothing more is given back until it is resumed."
    if job.state == JobState.DONE:
        return f"It ran for {duration(_seconds(job))}." if job.ended_at else ""
    rate = f"{job.rate:g} each second" if job.rate else "as fast as they are handled"
    limit = f"{100 * job.stop_above:g} %"
    return f"{rate.capitalize()}. It stops by itself if more than {limit} of a step die again."


def _seconds(job: Replay) -> float:
    return ((job.ended_at or job.created_at) - job.created_at).total_seconds()


def _lines(job: Replay) -> Iterator[StepLine]:
    given_back = 0
    steps = parsed(job.steps)
    for index, step in enumerate(steps):
        size = max(0, job.total - given_back)
        if index < len(steps) - 1:
            size = min(step.size or 0, size)
        given_back += step.released or (size if index >= job.step else 0)
        if not size and not step.released and index:
            continue  # the steps before have all
        state, tone = _state(job, index, step)
        yield StepLine(
            number=index + 1,
            state=state,
            tone=tone,
            is_current=index == job.step and job.ended_at is None,
            size=max(size, step.released),
            done=step.done,
            failed=step.failed,
            settled=step.done + step.failed + step.skipped,
            note=_note(step),
        )


def _state(job: Replay, index: int, step: Step) -> tuple[str, str]:
    if index > job.step or not step.began_at:
        return "not begun", "todo"
    if index < job.step or job.state == JobState.DONE:
        return ("below the limit", "done") if step.failed else ("handled", "done")
    if job.state == JobState.STOPPED:
        return "stopped here", "bad"
    return job.state, TONES[JobState(job.state)]


def _note(step: Step) -> str:
    if not step.began_at:
        return "nothing is given back yet"
    since = f"since {time_of_day(datetime.fromisoformat(step.began_at))}"
    died = f"{step.failed:,} died again"
    if step.settled:
        died += f" ({100 * step.failed / step.settled:.0f} %)"
    skipped = f", {plural(step.skipped, 'skipped', 'skipped')}" if step.skipped else ""
    return f"{since}, {died}{skipped}"
