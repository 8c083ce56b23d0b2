"""`tidings chaos`: inject faults while orders are placed, then audit for losses and duplicates."""

import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from types import FrameType

import click
from rich.progress import Progress

from tidings.chaos.run import Options, Outcome, Watcher, run
from tidings.cli.encoding import echo
from tidings.cli.exit_codes import PROBLEMS_FOUND
from tidings.cli.output import print_table, progress_bars
from tidings.cli.parameters import Number, WholeNumber

_MAX_PRINTED = 30  # findings; the file `findings` holds all of them


class ProgressWatcher(Watcher):
    """Two progress bars: the present fault, and the accepted orders."""

    def __init__(self, progress: Progress, options: Options) -> None:
        self._progress, self._options = progress, options
        self._faults = progress.add_task("starting everything", total=int(options.seconds))
        self._orders = progress.add_task("orders accepted", total=options.orders)

    def injecting(self, fault: str, elapsed: float) -> None:
        """Show the fault's name."""
        self._progress.update(self._faults, description=fault, completed=int(elapsed))

    def accepted(self) -> None:
        """Count one more order."""
        self._progress.advance(self._orders)

    def settling(self, open_deliveries: int) -> None:
        """Show the number of open deliveries."""
        self._progress.update(
            self._faults,
            description=f"waiting for {open_deliveries} deliveries",
            completed=int(self._options.seconds),
        )


def _name_or_url(context: click.Context, parameter: click.Parameter, value: str) -> str:
    names = str(parameter.metavar).split("|")[:-1]
    if value not in names and "://" not in value:
        raise click.BadParameter(f"{value!r} is neither {' nor '.join(names)} nor a URL")
    return value


@click.command()
@click.option(
    "--orders",
    type=WholeNumber(1, 100_000),
    default=500,
    show_default=True,
    help="Number of orders.",
)
@click.option(
    "--minutes",
    type=Number(0.05),
    default=2.0,
    show_default=True,
    help="Minutes of fault injection.",
)
@click.option(
    "--database",
    default="sqlite",
    show_default=True,
    metavar="sqlite|postgres|URL",
    callback=_name_or_url,
    help="The database.",
)
@click.option(
    "--broker",
    default="valkey",
    show_default=True,
    metavar="valkey|rabbitmq|URL",
    callback=_name_or_url,
    help="The broker.",
)
@click.option("--seed", type=WholeNumber(), help="Draw the same orders and faults as another run.")
@click.option(
    "--pace",
    type=Number(0.05),
    default=1.2,
    show_default=True,
    help="Mean seconds between two faults.",
)
@click.option(
    "--settle",
    type=Number(1),
    default=90.0,
    show_default=True,
    help="Seconds without progress after which the run ends.",
)
@click.option("--keep", is_flag=True, help="Keep the data directory of a run without findings.")
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
    """Inject faults while orders are placed, and audit the result.

    Starts an instance of its own and kills, freezes and empties its parts at random. It touches no
    other process; a database or broker given as a URL is used and not broken. Exit code 3: an
    effect was lost or duplicated. To see the audit fail, disable the resending of lost messages:
    LEASE=1000000 tidings chaos --settle 30
    """
    folder = Path(tempfile.mkdtemp(prefix="tidings-chaos-"))
    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    echo(f"seed {chosen}, {database} and {broker}, data in {folder}")
    options = Options(folder, orders, minutes * 60.0, database, broker, chosen, pace, settle)
    try:
        with progress_bars("{task.description:<40}") as progress:
            outcome = run(options, ProgressWatcher(progress, options))
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _sum_up(outcome)
    if outcome.findings:
        _report(outcome.findings, folder)
        raise click.exceptions.Exit(PROBLEMS_FOUND)
    echo("nothing was lost and nothing was done twice")
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _sum_up(outcome: Outcome) -> None:
    figures = outcome.figures
    faults = [*sorted(outcome.faults.items()), ("all", outcome.faults.total())]
    print_table(("fault", "times"), faults, empty="no faults")
    echo()
    orders = [("accepted", outcome.accepted), *sorted(figures.ends.items())]
    print_table(("orders", "count"), orders, empty="no orders")
    echo()
    rows = [
        *((f"requests repeated: {why}", count) for why, count in sorted(outcome.repeated.items())),
        ("events", figures.events),
        ("deliveries", figures.deliveries),
        ("deliveries sent again", figures.sends_again),
        *(
            (f"failed attempts: {error}", count)
            for error, count in sorted(figures.failed_attempts.items())
        ),
        ("duplicates absorbed, as logged by workers", figures.absorbed),
        ("invalid messages stored", figures.invalid_messages),
        ("mails", figures.mails),
        ("mails received twice (permitted)", figures.mails_twice),
        ("processes restarted", figures.restarts),
    ]
    print_table(("figure", "count"), rows, empty="")
    echo()


def _report(findings: list[str], folder: Path) -> None:
    (folder / "findings").write_text("\n".join(findings) + "\n")
    echo(f"{len(findings)} promises were broken:", fg="red", bold=True)
    for finding in findings[:_MAX_PRINTED]:
        echo(f"  {finding}")
    if len(findings) > _MAX_PRINTED:
        echo(f"  and {len(findings) - _MAX_PRINTED} more")
    echo(
        f"the data is kept in {folder}: `findings`, `faults` (each fault with its time), "
        "`log` (the output of the processes)"
    )
