"""`tidings doctor`: examine a deployment and name a fix for each problem."""

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from events.environment import WRONG_SETTINGS, read_secret_files
from events.transport import CeleryTransport
from tasks.celery import app
from tidings.all_settings import all_wrong_settings, forget_empty_variables
from tidings.cli.encoding import echo, symbol
from tidings.cli.exit_codes import PROBLEMS_FOUND
from tidings.cli.output import console, counted, json_option, print_json
from tidings.cli.paths import Folder
from tidings.doctor.examination import examine
from tidings.doctor.findings import Finding, Level, problem
from tidings.up import discovery

_MARKS: dict[Level, tuple[str, str, str]] = {
    "ok": ("✓", "green", "ok"),
    "notice": ("•", "yellow", "*"),
    "unknown": ("?", "yellow", "?"),
    "problem": ("✗", "red", "X"),
}


@click.command()
@click.option(
    "--data-dir",
    type=Folder(),
    default=Path("var"),
    show_default=True,
    help="The data directory of `tidings up`.",
)
@json_option
def doctor(*, data_dir: Path, as_json: bool) -> None:
    """Examine this deployment: database, broker, processes, backlog, secrets, Flower.

    Run it in the environment of the web. Settings that this environment lacks are taken from the
    data directory of a `tidings up` on the same machine. Exit code 3: at least one problem.
    Exit code 2: settings that cannot work; nothing else is examined.
    """
    forget_empty_variables()
    if not all_wrong_settings():
        read_secret_files()
        os.environ.update(discovery.environment(data_dir))  # before anything reads a setting
    if wrong := all_wrong_settings():
        findings = [problem("settings", f"{each.name} {each.reason}", each.fix) for each in wrong]
        _print(findings, as_json=as_json)
        raise click.exceptions.Exit(WRONG_SETTINGS)
    transport = CeleryTransport(app)
    try:
        findings = list(examine(transport, app.conf))
    finally:
        transport.close()
    _print(findings, as_json=as_json)
    if any(each.level == "problem" for each in findings):
        raise click.exceptions.Exit(PROBLEMS_FOUND)


def _print(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(each) for each in findings])
    else:
        _show(findings)


def _show(findings: list[Finding]) -> None:
    table = Table("", "part", "finding", box=None, pad_edge=False, header_style="bold")
    arrow = symbol("→", "->")
    for each in findings:
        mark, colour, plain = _MARKS[each.level]
        message = Text(each.message)
        if each.fix:
            message.append(
                f"\n{arrow} {each.fix}", style="bold" if each.level == "problem" else "dim"
            )
        table.add_row(Text(symbol(mark, plain), style=colour), Text(each.part), message)
    console().print(table)
    counts = Counter(each.level for each in findings)
    problems, notices = counted(counts["problem"], "problem"), counted(counts["notice"], "notice")
    echo(f"\n{problems}, {notices}, {counts['unknown']} unknown, {counts['ok']} ok")
