"""`tidings sandbox`: break and restore a built-in gateway, to watch orders wait and continue."""

import click

from events import reading, transaction
from events.admin import audit, dead_letters
from tasks.gateways import NAMES, is_down, sandbox_switch
from tidings.cli.audit_options import who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import counted


@click.command()
@click.argument("gateway", type=click.Choice(NAMES))
@click.option(
    "--down/--up",
    "down",
    default=None,
    help="Break or restore the gateway; without either, show its state.",
)
@why_option
def sandbox(gateway: str, *, down: bool | None, why: str) -> None:
    """Break or restore one of the built-in gateways, for all processes at once."""
    if down is None:
        with reading() as session:
            echo(f"the {gateway} sandbox is {'down' if is_down(session, gateway) else 'up'}")
        return
    dead = _switch(gateway, down=down, why=why)
    if down:
        echo(
            f"the {gateway} sandbox is down; its deliveries are retried for about a minute, "
            "then they become dead letters"
        )
        return
    replay = f"; {counted(dead, 'dead letter')}: tidings dead-letters replay --queue {gateway}"
    echo(f"the {gateway} sandbox is up{replay if dead else ''}")


def _switch(gateway: str, *, down: bool, why: str) -> int:
    """Switch the gateway and return the number of its queue's dead letters."""
    with transaction() as session:
        sandbox_switch(session, gateway, down=down)
        action = "break" if down else "restore"
        audit.record(session, who=who(), action=action, target=f"{gateway} sandbox", why=why)
        return dead_letters.count(session, queue=gateway)
