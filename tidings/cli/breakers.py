"""`tidings breakers`: list, hold and close the circuit breakers of the dependencies."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import click

from events import reading, transaction
from events.admin import breakers as admin
from events.inputs import PlainText
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import (
    ago,
    json_option,
    list_by_default,
    nothing_found,
    print_json,
    print_table,
)
from tidings.cli.parameters import Rule

_COLUMNS = (
    "dependency",
    "state",
    "since",
    "next probe",
    "waiting",
    "latest error",
    "by",
    "why",
    "replays",
)
_dependency = click.argument("dependency", type=Rule(PlainText(50)))


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def breakers(context: click.Context, *, as_json: bool) -> None:
    """Operate the circuit breakers of the dependencies; without a command, list them."""
    list_by_default(context, list_breakers, as_json=as_json)


@breakers.command("list")
@json_option
def list_breakers(*, as_json: bool) -> None:
    """List the breakers, those first that hold deliveries back."""
    with reading() as session:
        lines = admin.listed(session)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    rows = [
        (
            *(line.dependency, line.state, ago(line.since), line.next_probe_at),
            *(line.waiting, line.error, line.who, line.why, "yes" if line.replays else "no"),
        )
        for line in lines
    ]
    empty = "no subscription depends on anything; name it with `depends_on=`"
    print_table(_COLUMNS, rows, empty=empty)


@breakers.command()
@_dependency
@why_option
def hold(dependency: str, why: str) -> None:
    """Let the deliveries of a dependency wait, without probes, until it is closed."""
    _change(admin.hold, dependency, why, "on hold")
    echo(f"`tidings breakers close {dependency} --why REASON` sends what waits")


@breakers.command()
@_dependency
@why_option
def close(dependency: str, why: str) -> None:
    """Send the deliveries of a dependency; the breaker opens again at the first failure."""
    _change(admin.close, dependency, why, "closed")


@breakers.command()
@_dependency
@click.argument("state", type=click.Choice(("on", "off")))
@why_option
def replays(dependency: str, state: str, why: str) -> None:
    """Switch the automatic replay of what died of a dependency, when it is available again."""
    act = partial(admin.switch_replays, on=state == "on")
    _change(act, dependency, why, f"switched {state}", "automatic replay")


def _change(
    act: Callable[..., bool], dependency: str, why: str, state: str, what: str = "breaker"
) -> None:
    why = needed(why)
    with transaction() as session:
        changed = act(session, dependency, who=who(), why=why)
    if not changed:
        nothing_found(f"the {what} of {dependency} is {state} already; nothing was changed")
    echo(f"the {what} of {dependency} is {state}")
