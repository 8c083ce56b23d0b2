"""`tidings replays`: list, show, start, pause, resume and stop the jobs that replay."""

from collections.abc import Callable
from typing import Any

import click

from events import clock, reading, transaction
from events.admin import replays as admin
from events.replays.tables import Replay
from tidings.cli import replay_words
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import (
    cell,
    json_option,
    list_by_default,
    nothing_found,
    print_json,
    print_table,
)
from tidings.cli.parameters import WholeNumber
from tidings.cli.replay_options import (
    nothing_is_no_error,
    pace_of,
    pace_options,
    selection_options,
    start_replay,
    tell_start,
)

_COLUMNS = ("replay", "kind", "state", "done", "died again", "total", "began", "by", "why")
_FACTS = (
    *("id", "kind", "state", "selection", "total", "released", "done", "failed", "skipped"),
    *("step", "steps", "rate", "stop_above", "stopped_because", "who", "why", "created_at"),
    "ended_at",
)
_number = click.argument("number", type=WholeNumber(1, 2**63 - 1))


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def replays(context: click.Context, *, as_json: bool) -> None:
    """Replay dead letters as jobs; without a command, list them."""
    list_by_default(context, list_replays, as_json=as_json, limit=100)


@replays.command("list")
@click.option("--limit", type=WholeNumber(1, 10_000), default=100, show_default=True)
@json_option
def list_replays(*, limit: int, as_json: bool) -> None:
    """List the replays, the newest first."""
    with reading() as session:
        jobs = admin.listed(session, limit=limit)
    if as_json:
        print_json([_plain(job) for job in jobs])
        return
    print_table(_COLUMNS, [_row(job) for job in jobs], empty="no replays")


@replays.command()
@_number
@json_option
def show(number: int, *, as_json: bool) -> None:
    """Show one replay with its steps."""
    with reading() as session:
        job = admin.find(session, number)
    if as_json:
        print_json(_plain(job))
        return
    for name, value in replay_words.facts(job, admin.seconds_left(job, clock.now())):
        echo(f"{name:<11} {cell(value)}")
    print_table(replay_words.STEP_COLUMNS, replay_words.step_rows(job), empty="no steps")


@replays.command()
@click.argument("ids", nargs=-1)
@selection_options
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@pace_options
@why_option
@json_option
def start(ids: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Start a job that sends dead letters again; their failed attempts are kept."""
    job = start_replay(ids, **options)
    if as_json:
        print_json(_plain(job))
    else:
        tell_start(job)


@replays.command()
@_number
@pace_options
@why_option
def again(
    number: int, *, steps: tuple[int, ...], rate: float | None, stop_above: float, why: str
) -> None:
    """Start another replay with what an earlier one has left."""
    pace, why = pace_of(steps, rate, stop_above), needed(why)
    with nothing_is_no_error(), transaction() as session:
        job = admin.again(session, number, who=who(), why=why, pace=pace)
    tell_start(job)


@replays.command()
@_number
@why_option
def pause(number: int, why: str) -> None:
    """Give nothing more back until the replay is resumed."""
    _change(admin.pause, number, why, "paused")


@replays.command()
@_number
@why_option
def resume(number: int, why: str) -> None:
    """Go on with a paused replay."""
    _change(admin.resume, number, why, "running")


@replays.command()
@_number
@why_option
def stop(number: int, why: str) -> None:
    """End a replay; what it has not given back stays as it is."""
    _change(admin.stop, number, why, "stopped")


def _change(act: Callable[..., bool], number: int, why: str, state: str) -> None:
    why = needed(why)
    with transaction() as session:
        changed = act(session, number, who=who(), why=why)
    if not changed:
        nothing_found(f"replay {number} is {state} already; nothing was changed")
    echo(f"replay {number} is {state}")


def _row(job: Replay) -> tuple[object, ...]:
    counts = (job.done, job.failed, job.total)
    return (job.id, job.kind, job.state, *counts, job.created_at, job.who, job.why)


def _plain(job: Replay) -> dict[str, Any]:
    plain = {name: getattr(job, name) for name in _FACTS}
    return plain | {"seconds_left": admin.seconds_left(job, clock.now())}
