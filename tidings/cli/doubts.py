"""`tidings doubts`: what the gateways did and the restored log does not know."""

from dataclasses import asdict

import click

from events import reading, transaction
from tasks import doubts as after_restore
from tasks import restores
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import counted, json_option, nothing_found, print_json, print_table

_COLUMNS = ("gateway", "act", "at", "order", "reason", "fix")


@click.command()
@click.option("--settle", is_flag=True, help="Record that they are settled, and ask no more.")
@why_option
@json_option
def doubts(*, settle: bool, why: str, as_json: bool) -> None:
    """List what the gateways did and a restored log does not know.

    It compares the gateways' charges and parcels since the end of the restored log. Each is for a
    person to decide; with --settle the restore is settled, and `tidings doctor` is content.
    """
    if settle:
        _settle(why)
        return
    with reading() as session:
        found = after_restore.listed(session)
    if as_json:
        print_json([asdict(each) for each in found])
        return
    rows = [(each.gateway, each.act, each.at, each.number, each.reason, each.fix) for each in found]
    print_table(_COLUMNS, rows, empty="the gateways did nothing that the log does not know")


def _settle(why: str) -> None:
    why = needed(why)
    with transaction() as session:
        settled = restores.settle(session, who=who(), why=why)
    if not settled:
        nothing_found("there is no restore to settle; nothing was changed")
    echo(f"{counted(len(settled), 'restore')} settled")
