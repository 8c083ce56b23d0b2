"""`tidings doctor`: is this deployment well, and if not, what is to be done?"""

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from events.transport import CeleryTransport
from tasks.celery import app
from tidings.cli.output import console, counted, json_option, print_json
from tidings.doctor.examination import examine
from tidings.doctor.findings import Finding, Level
from tidings.up import discovery

PROBLEMS_FOUND = 3
_MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "notice": ("•", "yellow"),
    "unknown": ("?", "yellow"),
    "problem": ("✗", "red"),
}


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var"),
    show_default=True,
    help="Where `tidings up` runs.",
)
@json_option
def doctor(*, data_dir: Path, as_json: bool) -> None:
    """Examine this deployment: database, broker, processes, backlog, secrets, Flower.

    It looks with the environment that it is given, so run it where the web runs; what that leaves open is taken from a
    `tidings up` beside it. Exit code 3 says that something is to be done.
    """
    os.environ.update(discovery.environment(data_dir))  # before anything reads a setting
    transport = CeleryTransport(app)
    try:
        findings = list(examine(transport, app.conf))
    finally:
        transport.close()
    if as_json:
        print_json([asdict(each) for each in findings])
    else:
        _show(findings)
    if any(each.level == "problem" for each in findings):
        raise click.exceptions.Exit(PROBLEMS_FOUND)


def _show(findings: list[Finding]) -> None:
    table = Table("", "what", "how it is", box=None, pad_edge=False, header_style="bold")
    for each in findings:
        mark, colour = _MARKS[each.level]
        told = Text(each.told)
        if each.fix:
            told.append(f"\n→ {each.fix}", style="bold" if each.level == "problem" else "dim")
        table.add_row(Text(mark, style=colour), Text(each.about), told)
    console().print(table)
    counts = Counter(each.level for each in findings)
    wrong, notices = counted(counts["problem"], "problem"), counted(counts["notice"], "notice")
    click.echo(f"\n{wrong}, {notices}, {counts['unknown']} unknown, {counts['ok']} well")
