"""`tidings dead-letters dry-run`: what the handlers of dead letters would do now."""

import json
import sys

import click

from events import reading
from events.admin import dead_letters
from events.dry_runs.process import MAX_AT_ONCE
from events.dry_runs.result import DryRun
from events.inputs import PlainText
from tasks.dry_runs import dry_run as run
from tidings.cli.encoding import echo
from tidings.cli.exit_codes import PROBLEMS_FOUND
from tidings.cli.output import counted, json_option, nothing_found, print_json
from tidings.cli.parameters import Rule, WholeNumber
from tidings.cli.replay_options import selection, selection_options


@click.command("dry-run")
@click.argument("ids", nargs=-1)
@selection_options
@click.option(
    "--sample",
    type=WholeNumber(1, MAX_AT_ONCE),
    default=3,
    show_default=True,
    help="Number of dead letters that are run of those that match.",
)
@click.option(
    "--answer",
    type=Rule(PlainText(100)),
    help="Name of the example answer to the calls, which are not made.",
)
@json_option
def dry_run(
    ids: tuple[str, ...], *, sample: int, answer: str | None, as_json: bool, **filters: str | None
) -> None:
    """Run the handlers of dead letters without effect, and list what they would do."""
    chosen = selection(ids, everything=False, **filters)
    chosen.pop("everything")
    limit = len(ids) or sample
    with reading() as session:
        found = [each.id for each in dead_letters.listed(session, limit=limit, **chosen)]
        for each in ids:
            dead_letters.show(session, each)
    if not found:
        nothing_found("no dead letter is selected by this")
    if len(found) > MAX_AT_ONCE:
        raise click.UsageError(f"give at most {MAX_AT_ONCE} ids")
    results = run(found, answer=answer)
    if as_json:
        print_json([result.model_dump(mode="json") for result in results])
    else:
        for result in results:
            _tell(result)
    if any(result.outcome != "handled" for result in results):
        sys.exit(PROBLEMS_FOUND)


def _tell(result: DryRun) -> None:
    counts = (
        counted(len(result.rows) + result.more_rows, "row"),
        counted(len(result.events), "event"),
        counted(len(result.calls), "call"),
    )
    outcome = f"would be handled: {', '.join(counts)}" if result.outcome == "handled" else ""
    echo(f"{result.delivery_id} {outcome or f'would fail again: {result.error}'}")
    for row in result.rows:
        key = ", ".join(map(str, row.key.values()))
        for column in row.columns:
            values = f"{_json(column.now)} -> {_json(column.then)}"
            echo(f"  {row.change} {row.table} {key}: {column.name} {values}")
    if result.more_rows:
        echo(f"  and {counted(result.more_rows, 'row')} more")
    for statement in result.statements:
        echo(f"  and what this statement changes: {statement}")
    for event in result.events:
        subject = f" about {event.subject}" if event.subject else ""
        echo(f"  publish {event.type} v{event.version}{subject}: {_json(event.data)}")
    for call in result.calls:
        went_on = f"went on with: {call.answer}" if call.answer else "no example answer"
        echo(f"  refused {call.service}.{call.method} {_json(call.arguments)}; {went_on}")
    echo("  nothing was written, published or sent")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:300]
