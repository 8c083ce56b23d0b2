"""`contracts`: compare the events with the committed contracts, write new ones, print AsyncAPI."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from events.admin import event_catalog
from events.cli.output import PROBLEMS_FOUND, json_option, print_json
from events.contracts.asyncapi import document
from events.contracts.check import HARMLESS, Finding, check, write
from events.event import known
from events.inputs import escaped

FOLDER = Path("contracts")
_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="The folder of the committed contracts.",
)


@click.group()
def contracts() -> None:
    """Compare the events with the committed contracts, and publish them as AsyncAPI."""


@contracts.command("check")
@_folder
@click.option("--strict", is_flag=True, help="Exit code 3 also for what is not written yet.")
@json_option
def check_contracts(*, folder: Path, strict: bool, as_json: bool) -> None:
    """Compare the event classes with the committed contracts.

    Exit code 3: something breaks, an upcaster is missing, or a contract was edited by hand; with
    --strict also if a new event or a compatible change is not written yet.
    """
    if not folder.is_dir():
        raise click.UsageError(
            f"there is no folder {folder}; change to the folder of the repository, name it with "
            "--folder, or run `contracts write` to begin one"
        )
    classes = known()
    findings = check(folder, classes)
    _report(findings, as_json=as_json)
    if not as_json:
        unlike = {each.event for each in findings}
        click.echo(f"{len(classes)} events compared, {len(unlike)} unlike their contracts")
    if findings if strict else _broken(findings):
        raise click.exceptions.Exit(PROBLEMS_FOUND)


@contracts.command("write")
@_folder
def write_contracts(*, folder: Path) -> None:
    """Write the contracts of new events, new versions and compatible changes.

    What would break is not written, and ends this with exit code 3.
    """
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"{folder} is no folder; name another with --folder")
    for path in write(folder, known()):
        click.echo(escaped(f"wrote {path}"))
    broken = _broken(check(folder, known()))
    _report(broken, as_json=False)
    if broken:
        raise click.exceptions.Exit(PROBLEMS_FOUND)


@contracts.command("asyncapi")
@click.option("--title", default="Tidings", show_default=True, help="The title of the document.")
@json_option
def print_asyncapi(*, title: str, as_json: bool) -> None:
    """Print the events and their subscriptions as an AsyncAPI 3 document, in JSON."""
    print_json(document(event_catalog.of_code(), title=title))


def _broken(findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.verdict not in HARMLESS]


def _report(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        counts = Counter(each.verdict for each in findings)
        print_json({"findings": [asdict(each) for each in findings], "counts": counts})
        return
    for each in findings:
        click.echo(escaped(f"{each.where}: {each.verdict}: {each.event} {each.what}"))
        click.echo(escaped(f"    fix: {each.fix}"))
