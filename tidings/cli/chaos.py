"""`tidings chaos`: break everything while orders come in, then see whether anything was lost or done twice."""

import secrets
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tidings.chaos.run import Options, Outcome, Watcher, run
from tidings.cli.output import console, print_table

PROBLEMS_FOUND = 3
_SHOWN = 30  # findings that are printed; all are in a file


class Bars(Watcher):
    """Shows a run as two bars: what is being broken right now, and the orders."""

    def __init__(self, progress: Progress, options: Options) -> None:
        self._progress, self._options, self._lock = progress, options, threading.Lock()
        self._breaking = progress.add_task("starting everything", total=int(options.seconds))
        self._orders = progress.add_task("orders accepted", total=options.orders)

    def breaking(self, what: str, seconds: float) -> None:
        """Name it."""
        self._progress.update(self._breaking, description=what, completed=int(seconds))

    def accepted(self) -> None:
        """One further."""
        self._progress.advance(self._orders)

    def waiting(self, left: int) -> None:
        """Say for how much."""
        self._progress.update(
            self._breaking,
            description=f"waiting for {left} deliveries",
            completed=int(self._options.seconds),
        )


def _name_or_address(context: click.Context, parameter: click.Parameter, value: str) -> str:
    names = str(parameter.metavar).split("|")
    if value not in names and "://" not in value:
        raise click.BadParameter(f"{value!r} is none of {', '.join(names[:-1])}, and no address")
    return value


@click.command()
@click.option(
    "--orders",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    help="How many orders to place.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0.05),
    default=2.0,
    show_default=True,
    help="How long to break things.",
)
@click.option(
    "--database",
    default="sqlite",
    show_default=True,
    metavar="sqlite|postgres|URL",
    callback=_name_or_address,
    help="What to run on.",
)
@click.option(
    "--broker",
    default="valkey",
    show_default=True,
    metavar="valkey|rabbitmq|URL",
    callback=_name_or_address,
    help="What to run on.",
)
@click.option("--seed", type=int, help="Draw the same orders and faults as another run.")
@click.option(
    "--pace",
    type=click.FloatRange(0.05),
    default=1.2,
    show_default=True,
    help="Seconds between two faults, on average.",
)
@click.option(
    "--settle",
    type=click.FloatRange(1),
    default=90.0,
    show_default=True,
    help="Seconds without progress until it gives up.",
)
@click.option("--keep", is_flag=True, help="Keep the data directory also when all is well.")
def chaos(
    orders: int,
    minutes: float,
    database: str,
    broker: str,
    seed: int | None,
    pace: float,
    settle: float,
    *,
    keep: bool,
) -> None:
    """Break everything while orders come in, and audit.

    Starts an instance of its own and kills, freezes and empties its parts at random; what it did not start it leaves alone. An
    address instead of a name is used and not broken. Exit code 3 means that something was lost or done twice. To see that it
    can tell, switch the ledger's sending again off: LEASE=1000000 tidings chaos --settle 30
    """
    folder = Path(tempfile.mkdtemp(prefix="tidings-chaos-"))
    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    click.echo(f"seed {chosen}, {database} and {broker}, data in {folder}")
    options = Options(folder, orders, minutes * 60.0, database, broker, chosen, pace, settle)
    columns = (
        TextColumn("{task.description:<40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=console()) as progress:
            outcome = run(options, Bars(progress, options))
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _sum_up(outcome)
    if outcome.findings:
        _complain(outcome.findings, folder)
        sys.exit(PROBLEMS_FOUND)
    click.echo("nothing was lost and nothing was done twice")
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _sum_up(outcome: Outcome) -> None:
    figures = outcome.figures
    print_table(
        ("fault", "times"),
        [*sorted(outcome.faults.items()), ("all", outcome.faults.total())],
        empty="nothing was broken",
    )
    click.echo()
    print_table(
        ("orders", "count"),
        [("accepted", outcome.accepted), *sorted(figures.ends.items())],
        empty="no orders",
    )
    click.echo()
    rows = [
        *(
            (f"customers asked again: {why}", count)
            for why, count in sorted(outcome.asked_again.items())
        ),
        ("events", figures.events),
        ("deliveries", figures.deliveries),
        ("sent again", figures.sends_again),
        *(
            (f"failed tries: {error}", count)
            for error, count in sorted(figures.failed_tries.items())
        ),
        ("duplicates absorbed, as far as workers told", figures.absorbed),
        ("malformed messages kept", figures.invalid_messages),
        ("mails", figures.mails),
        ("mails that came twice (permitted)", figures.mails_twice),
        ("processes started again", figures.restarts),
        *(
            (f"by itself: {what}", count)
            for what, count in sorted(figures.ended_by_themselves.items())
        ),
    ]
    print_table(("figure", "count"), rows, empty="")
    click.echo()


def _complain(findings: list[str], folder: Path) -> None:
    (folder / "findings").write_text("\n".join(findings) + "\n")
    click.secho(f"{len(findings)} promises were broken:", fg="red", bold=True)
    for finding in findings[:_SHOWN]:
        click.echo(f"  {finding}")
    if len(findings) > _SHOWN:
        click.echo(f"  and {len(findings) - _SHOWN} more")
    click.echo(
        f"the data is kept in {folder}: `findings`, `faults` (what was broken when), `log` (what the processes said)"
    )
