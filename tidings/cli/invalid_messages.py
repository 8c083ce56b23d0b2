"""`tidings invalid-messages`: list and discard the messages that no relay of ours sent."""

import click

from events import reading, transaction
from events.admin import invalid_messages as admin
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import json_option, print_json, print_table
from tidings.cli.parameters import WholeNumber

_COLUMNS = ("number", "at", "queue", "reason", "error", "bytes")


@click.group("invalid-messages")
def invalid_messages() -> None:
    """List and discard the messages on our queues that Tidings did not send."""


@invalid_messages.command("list")
@click.option("--limit", type=WholeNumber(1, 10_000), default=100, show_default=True)
@json_option
def list_invalid_messages(*, limit: int, as_json: bool) -> None:
    """List the invalid messages that nobody has discarded, the latest first."""
    with reading() as session:
        rows = admin.listed(session, limit=limit)
    if as_json:
        print_json([admin.plain(row) for row in rows])
        return
    lines = [
        (row.id, row.at, row.queue, row.reason, row.error[:200], len(row.body)) for row in rows
    ]
    print_table(_COLUMNS, lines, empty="no invalid messages")


@invalid_messages.command()
@click.argument("number", type=WholeNumber(1, 2**63 - 1))
@why_option
def discard(number: int, why: str) -> None:
    """Take an invalid message off the list; its row stays."""
    why = needed(why)
    with transaction() as session:
        admin.discard(session, number, who=who(), why=why)
    echo(f"invalid message {number} is discarded")
