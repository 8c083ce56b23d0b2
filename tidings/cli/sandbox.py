"""`tidings sandbox`: break and restore a built-in gateway, to watch orders wait and continue."""

import click

from events import reading, transaction
from events.admin import audit, dead_letters
from tasks.gateways import MAX_RETRY_AFTER, NAMES, sandbox_state, sandbox_switch
from tidings.cli.audit_options import who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import counted, json_option, print_json
from tidings.cli.parameters import WholeNumber

_MAIL = "email"
_WHY = "none given"


@click.command()
@click.argument("gateway", type=click.Choice(NAMES))
@click.option(
    "--down/--up",
    "down",
    default=None,
    help="Break or restore the gateway; without an option, show its state.",
)
@click.option(
    "--answer",
    "status",
    type=WholeNumber(300, 599),
    help="Answer each request with this status of HTTP, or each mail with this code of SMTP.",
)
@click.option(
    "--retry-after",
    metavar="SECONDS|DATE",
    help="The Retry-After of these answers, as it would stand in the header.",
)
@why_option
@json_option
def sandbox(
    gateway: str,
    *,
    down: bool | None,
    status: int | None,
    retry_after: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Break or restore one of the built-in gateways, for all processes at once."""
    _check(gateway, down=down, status=status, retry_after=retry_after)
    if down is None and status is None:
        with reading() as session:
            state = sandbox_state(session, gateway)
        _tell(gateway, state, as_json=as_json)
        return
    broken = bool(down) or status is not None
    with transaction() as session:
        sandbox_switch(session, gateway, down=bool(down), status=status, retry_after=retry_after)
        state = sandbox_state(session, gateway)
        action = "break" if broken else "restore"
        values = {"answer": status, "retry_after": retry_after} if status is not None else {}
        audit.record(
            session,
            who=who(),
            action=action,
            target=f"{gateway} sandbox",
            why=why or _WHY,
            parameters=values,
        )
        dead = dead_letters.count(session, queue=gateway)
    follows = ""
    if broken:
        follows = "; `tidings catalog` tells how long its deliveries are retried"
    elif dead:
        command = f"tidings dead-letters replay --queue {gateway} --why REASON"
        follows = f"; {counted(dead, 'dead letter')}: {command}"
    _tell(gateway, state, follows, as_json=as_json)


def _tell(gateway: str, state: str, follows: str = "", *, as_json: bool) -> None:
    if as_json:
        print_json({"gateway": gateway, "state": state})
    else:
        echo(f"the {gateway} sandbox is {state}{follows}")


def _check(gateway: str, *, down: bool | None, status: int | None, retry_after: str | None) -> None:
    if status is not None and down is not None:
        raise click.UsageError("give one of --down, --up and --answer")
    if status is not None and gateway == _MAIL and status < 400:
        raise click.BadParameter(
            "a mail server refuses with 4xx (not now) or 5xx (for good)", param_hint="--answer"
        )
    if retry_after is None:
        return
    if status is None or gateway == _MAIL:
        raise click.UsageError(
            "--retry-after belongs to --answer of payment or shipping: HTTP has it, SMTP does not"
        )
    if len(retry_after) > MAX_RETRY_AFTER:
        raise click.BadParameter(
            f"longer than {MAX_RETRY_AFTER} characters", param_hint="--retry-after"
        )
