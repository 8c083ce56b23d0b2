"""`tidings dead-letters export`: dead letters as a file, or a group as a report for a ticket."""

import click

from events import reading
from events.admin import dead_letter_export
from tasks import dead_letter_report
from tidings.cli.encoding import echo
from tidings.cli.replay_options import selection_options


@click.command()
@selection_options
@click.option(
    "--format",
    "as_format",
    type=click.Choice(("csv", "jsonl", "markdown")),
    help="jsonl by default; markdown: the group of a subscription and a fingerprint.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines, as --format jsonl.")
def export(*, as_format: str | None, as_json: bool, **filters: str | None) -> None:
    """Print dead letters as CSV or JSON lines, or the report of a group as Markdown."""
    if as_json and as_format not in (None, "jsonl"):
        raise click.UsageError(f"give one of --json and --format {as_format}")
    if as_format == "markdown":
        echo(_report(**filters).rstrip())
        return
    found = dead_letter_export.letters(**filters)
    lines = dead_letter_export.csv_lines if as_format == "csv" else dead_letter_export.json_lines
    for line in lines(found):
        echo(line.rstrip())


def _report(*, queue: str | None, subscription: str | None, fingerprint: str | None) -> str:
    if queue or not (subscription and fingerprint):
        raise click.UsageError("a report is of one group: give --subscription and --fingerprint")
    with reading() as session:
        return dead_letter_report.markdown(
            session, subscription=subscription, fingerprint=fingerprint
        )
