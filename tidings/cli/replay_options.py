"""The options of a replay: which dead letters, in which steps, at which rate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from events import transaction
from events.admin import replays
from events.errors import NothingToReplay
from events.inputs import escaped
from events.replays.steps import (
    CANARY_STEPS,
    MAX_IDS,
    MAX_RATE,
    MAX_STEP,
    MAX_STEPS,
    MIN_RATE,
    STOP_ABOVE,
    Pace,
)
from events.replays.tables import Kind, Replay
from tidings.cli.audit_options import needed, who
from tidings.cli.encoding import echo
from tidings.cli.output import counted, nothing_found
from tidings.cli.parameters import Number

F = TypeVar("F", bound=Callable[..., Any])
_WORD = ",".join(map(str, CANARY_STEPS))


class Steps(click.ParamType[tuple[int, ...]]):
    """The sizes of the steps of a canary, such as `1,5,25`."""

    name = "steps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the sizes, or fail with what to write."""
        if isinstance(value, tuple):
            return value
        words = str(value).split(",")
        sizes = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 7]
        if len(sizes) < len(words) or len(sizes) > MAX_STEPS or not _all_in_range(sizes):
            self.fail(f"write sizes such as {_WORD}: at most {MAX_STEPS}, from 1 on", param, ctx)
        return tuple(sizes)


def _all_in_range(sizes: list[int]) -> bool:
    return all(1 <= each <= MAX_STEP for each in sizes)


def selection_options(command: F) -> F:
    """Add the options that select dead letters; those that match all given options are selected."""
    for name, what in (
        ("fingerprint", "fingerprint, as listed"),
        ("subscription", "subscription"),
        ("queue", "queue"),
    ):
        command = click.option(f"--{name}", help=f"Only those with this {what}.")(command)
    return command


def pace_options(command: F) -> F:
    """Add the options of a job's pace."""
    for option in (
        click.option(
            "--stop-above",
            type=Number(0, 1),
            default=STOP_ABOVE,
            show_default=True,
            help="Stop when a larger share of a step dies again.",
        ),
        click.option(
            "--canary",
            "steps",
            type=Steps(),
            is_flag=False,
            flag_value=_WORD,
            default=(),
            metavar="[SIZES]",
            help=f"First steps of these sizes, {_WORD} if none are given; then all others.",
        ),
        click.option(
            "--rate",
            type=Number(MIN_RATE, MAX_RATE),
            help="Deliveries each second at most; without it, as fast as they are handled.",
        ),
    ):
        command = option(command)
    return command


def pace_of(steps: tuple[int, ...], rate: float | None, stop_above: float) -> Pace:
    """Return the pace that the options give."""
    return Pace(steps, rate, stop_above)


def selection(ids: tuple[str, ...], *, everything: bool, **filters: str | None) -> dict[str, Any]:
    """Return the selection of dead letters; exactly one kind must be given."""
    if sum((bool(ids), any(filters.values()), everything)) != 1:
        raise click.UsageError(
            "select dead letters by ids, or by --queue, --subscription and --fingerprint, "
            "or with --all"
        )
    if len(ids) > MAX_IDS:
        raise click.UsageError(f"give at most {MAX_IDS} ids, or a filter")
    return {"ids": ids or None, "everything": everything, **filters}


@contextmanager
def nothing_is_no_error() -> Iterator[None]:
    """Say that there was nothing to replay, with an exit code of its own."""
    try:
        yield
    except NothingToReplay as error:
        nothing_found(escaped(f"{error}; nothing was changed"))


def start_replay(
    ids: tuple[str, ...],
    *,
    everything: bool,
    steps: tuple[int, ...],
    rate: float | None,
    stop_above: float,
    why: str,
    **filters: str | None,
) -> Replay:
    """Start the replay of the dead letters that the options select, and return the job."""
    chosen = selection(ids, everything=everything, **filters)
    pace, why = pace_of(steps, rate, stop_above), needed(why)
    with nothing_is_no_error(), transaction() as session:
        return replays.start(session, who=who(), why=why, pace=pace, **chosen)


def tell_start(job: Replay) -> None:
    """Print the number of a job that has begun, and how to follow it."""
    noun = "earlier event" if job.kind == Kind.BACKFILL else "dead letter"
    echo(
        f"replay {job.id} has begun: {counted(job.total, noun)}; "
        f"`tidings replays show {job.id}` shows its progress"
    )
