"""Every read takes `--json`, and then prints nothing but JSON."""

import json
from collections.abc import Iterator

import click
import pytest

from events.testing import Bus
from tests.tidings.cli.calls import call, told
from tidings.cli import main

# What changes something takes `--why`, but for these: they run a process, or make a file.
ACTS = {"up", "restart", "web", "relay", "migrate", "demo", "chaos", "backup", "contracts write"}
READS = (
    *("alive", "audit list", "audit verify", "breakers", "breakers list", "catalog", "doubts"),
    *("contracts asyncapi", "contracts check", "dead-letters list", "dead-letters show {letter}"),
    *("dead-letters dry-run {letter}", "events list", "events show {number}", "orders list"),
    *("orders stuck", "processes", "products list", "queues", "replays", "replays list"),
    *("alerts", "alerts list", "alerts preview", "sandbox payment", "schedules", "doctor"),
    *("subscriptions", "subscriptions list", "trace {number}", "task {letter}:1"),
)


def commands(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that can be called, with its name."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    if command.invoke_without_command:
        yield name, command
    context = click.Context(command)
    for below in command.list_commands(context):
        found = command.get_command(context, below)
        assert found is not None
        yield from commands(found, f"{name} {below}".strip())


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_every_command_that_reads_takes_json():
    found = dict(commands(main))

    assert found.keys() >= ACTS
    assert [
        name
        for name, command in found.items()
        if name not in ACTS and not options(command) & {"--json", "--why"}
    ] == []


def test_each_prints_nothing_but_json(bus: Bus, number: str, letter: str):
    for words in READS:
        asked = [word.format(number=number, letter=letter) for word in words.split()]
        result = call(*asked, "--json")
        assert result.exit_code in (0, 1, 3), (words, result.output)  # what examines finds faults
        json.loads(result.stdout)
    for line in told("dead-letters", "export", "--json").splitlines():
        json.loads(line)


@pytest.mark.parametrize("group", ["alerts", "breakers", "replays", "subscriptions"])
def test_json_before_a_command_is_refused_with_where_it_belongs(bus: Bus, group: str):
    result = call(group, "--json", "list")

    assert (result.exit_code, "give --json after 'list'" in result.stderr) == (2, True)
