"""`tidings sandbox`: break a gateway, to see the orders wait; mend it, to see them go on."""

import click

from events import reading, transaction
from events.admin import audit, dead_letters
from tasks.gateways import NAMES, is_down, sandbox_switch
from tidings.cli.audit_options import who, why_option
from tidings.cli.output import counted


@click.command()
@click.argument("gateway", type=click.Choice(NAMES))
@click.option(
    "--down/--up", "down", default=None, help="Break it, or mend it; without either, say how it is."
)
@why_option
def sandbox(gateway: str, *, down: bool | None, why: str) -> None:
    """Break or mend one of the built-in gateways, for all processes at once."""
    if down is None:
        with reading() as session:
            click.echo(f"the {gateway} sandbox is {'down' if is_down(session, gateway) else 'up'}")
        return
    with transaction() as session:
        sandbox_switch(session, gateway, down=down)
        audit.record(
            session,
            who=who(),
            action="break" if down else "mend",
            target=f"{gateway} sandbox",
            why=why,
        )
        dead = dead_letters.count(session, queue=gateway)
    if down:
        click.echo(
            f"the {gateway} sandbox is down; its deliveries are tried again for about a minute, then they are dead letters"
        )
        return
    died = (
        f"; {counted(dead, 'dead letter')}: tidings dead-letters replay --queue {gateway}"
        if dead
        else ""
    )
    click.echo(f"the {gateway} sandbox is up{died}")
