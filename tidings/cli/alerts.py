"""`tidings alerts`: list the alerts, show what would have been raised, and test the receivers."""

from dataclasses import asdict

import click

from events import clock, reading, transaction
from events.alerts import listing
from events.alerts.preview import preview as preview_of
from events.settings import settings
from tasks.alert_receivers import NONE_KNOWN, receivers
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import ago, counted, json_option, list_by_default, print_json, print_table

_COLUMNS = ("rule", "alert", "state", "since", "last message", "messages", "text")
_PREVIEW = ("rule", "alert", "from", "until", "messages", "cause")


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def alerts(context: click.Context, *, as_json: bool) -> None:
    """Show what is wrong by the rules of the alerts; without a command, list it."""
    list_by_default(context, list_alerts, as_json=as_json)


@alerts.command("list")
@json_option
def list_alerts(*, as_json: bool) -> None:
    """List the alerts, those first whose rule holds, and the rules."""
    with reading() as session:
        lines = listing.listed(session)
        looked_at, overdue = listing.looked_at(session)
    rules = listing.rules(settings())
    if as_json:
        found = {"alerts": [asdict(line) for line in lines], "rules": [asdict(r) for r in rules]}
        seen = {"looked_at": looked_at, "overdue": overdue, "receivers": receivers()}
        print_json(found | seen)
        return
    rows = [
        (
            *(line.rule, line.title, line.state, line.since, line.notified_at, line.messages),
            line.text,
        )
        for line in lines
    ]
    print_table(_COLUMNS, rows, empty="no alert: none of the rules holds")
    echo("")
    print_table(
        ("rule", "raised when", "setting"), [(r.name, r.limit, r.setting) for r in rules], empty=""
    )
    echo(f"\nsent by {' and '.join(receivers())}" if receivers() else f"\n{NONE_KNOWN}")
    if overdue:
        echo(
            f"nothing is watched: the rules were looked at {ago(looked_at)}; start `tidings relay`"
        )


@alerts.command()
@json_option
def preview(*, as_json: bool) -> None:
    """Show what the rules would have raised in the last 24 hours."""
    with reading() as session:
        found = preview_of(session, settings(), clock.now())
    if as_json:
        print_json(asdict(found))
        return
    rows = [
        (each.rule, each.title, each.at, each.until, each.messages, each.cause)
        for each in found.alerts
    ]
    print_table(_PREVIEW, rows, empty="nothing would have been raised in the last 24 hours")
    messages = sum(each.messages for each in found.alerts)
    echo(f"\n{counted(len(rows), 'alert')}, {counted(messages, 'message')}")
    echo("what cannot be reconstructed:")
    for note in found.notes:
        echo(f"  {note}")


@alerts.command()
@why_option
def test(why: str) -> None:
    """Send a message to each receiver; the deliveries of its event tell whether it arrived."""
    why = needed(why)
    with transaction() as session:
        event_id = listing.send_test(session, who=who(), why=why)
    echo(f"the test is on its way: {', '.join(receivers()) or NONE_KNOWN}")
    echo(f"`tidings events show {event_id}` tells whether it arrived")
