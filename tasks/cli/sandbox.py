"""`tidings sandbox`: break a gateway, to see the orders wait; mend it, to see them go on."""

import click

from events import audit, reading, transaction
from tasks.cli.operator import who, why_option
from tasks.gateways import NAMES, is_down, sandbox_switch


@click.command()
@click.argument("gateway", type=click.Choice(NAMES))
@click.option("--down/--up", "down", default=None, help="Break it, or mend it; without either, say how it is.")
@why_option
def sandbox(gateway: str, *, down: bool | None, why: str) -> None:
    """Break or mend one of the built-in gateways, for all processes at once."""
    if down is None:
        with reading() as session:
            click.echo(f"the {gateway} sandbox is {'down' if is_down(session, gateway) else 'up'}")
        return
    with transaction() as session:
        sandbox_switch(session, gateway, down=down)
        audit.record(session, who=who(), action="break" if down else "mend", target=f"{gateway} sandbox", why=why)
    click.echo(f"the {gateway} sandbox is {'down; its deliveries wait and are retried' if down else 'up'}")
