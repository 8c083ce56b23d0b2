"""`tidings dead-letters triage`: the state, owner, note and link of a group of dead letters."""

from typing import Any

import click
from pydantic import ValidationError

from events import transaction
from events.admin import triage as admin
from events.inputs import escaped
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo


@click.command()
@click.option("--subscription", required=True, help="The group's subscription.")
@click.option("--fingerprint", required=True, help="The group's fingerprint, as listed.")
@click.option("--state", type=click.Choice(admin.STATES), help="fixed needs --fixed-in.")
@click.option("--fixed-in", "version", metavar="VERSION", help="The version that has the fix.")
@click.option("--owner", help="Who takes care of it; empty: nobody.")
@click.option("--note", help="A note for others; empty removes it.")
@click.option("--link", metavar="URL", help="The address of a ticket; empty removes it.")
@why_option
def triage(*, subscription: str, fingerprint: str, why: str, **values: Any) -> None:
    """Note who takes care of a group of dead letters, and how far that is.

    A group that is fixed or closed and dies again is shown as regressed.
    """
    if values["version"] is not None and values["state"] is None:
        values["state"] = "fixed"
    try:
        change = admin.TriageChange.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        lines = [f"{'.'.join(map(str, each['loc'])) or 'triage'}: {each['msg']}" for each in wrong]
        raise click.UsageError(escaped("; ".join(lines))) from error
    why = needed(why)
    with transaction() as session:
        admin.change(session, subscription, fingerprint, change, who=who(), why=why)
    echo(f"triage of {escaped(fingerprint)} in {escaped(subscription)}: {_words(change)}")


def _words(change: admin.TriageChange) -> str:
    return ", ".join(f"{name} {escaped(value) or 'none'}" for name, value in change.given().items())
