"""The path of an order in docs/architecture.md is the one that the code takes."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/architecture.md").read_text()
STEP = re.compile(r"^\d+\. \[([\w/\\]+\.py)\]\(\.\./([\w/]+\.py)\), `(\w+)`: \S")
HOP = re.compile(
    r"^\*\*Hop\*\* through the (table|event|module) `([\w/.]+)`, from `([\w/.]+)` to `([\w/.]+)`\.$"
)


@dataclass(frozen=True)
class Step:
    """One numbered step: the file, and the function or class in which the path continues."""

    file: str
    name: str


@dataclass(frozen=True)
class Hop:
    """A way out of one process into the next: the table, event or module that both files use."""

    kind: str
    thing: str
    start: str
    end: str


@dataclass
class Leg:
    """The hops that lead to a process, and the steps within it."""

    hops: list[Hop] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


def path_of(page: str) -> list[Leg]:
    """Read the legs of the path from the page."""
    legs = [Leg()]
    path = page.partition("## The path of an order")[2].partition("## Where to change")[0]
    for line in path.splitlines():
        if hop := HOP.match(line):
            if legs[-1].steps:
                legs.append(Leg())
            legs[-1].hops.append(Hop(*hop.groups()))
        elif step := STEP.match(line):
            legs[-1].steps.append(Step(step[2], step[3]))
        else:
            assert not re.match(r"\d+\. |.*\bHop\b\*\*", line), f"cannot be read: {line}"
    return legs


@cache
def tree_of(file: str) -> ast.Module:
    """Parse a file of the repository; one that is missing is empty."""
    path = ROOT / file
    return ast.parse(path.read_text() if path.exists() else "")


def _file_of(module: str) -> str:
    file = module.replace(".", "/")
    return f"{file}.py" if (ROOT / f"{file}.py").exists() else f"{file}/__init__.py"


@cache
def imports_of(file: str) -> frozenset[tuple[str, str]]:
    """Return the file and name (none for a module) of each import, re-exports resolved."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found |= {(_file_of(alias.name), "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {_origin(node.module, alias.name) for alias in node.names}
    return frozenset(found)


def _origin(module: str, name: str) -> tuple[str, str]:
    file = _file_of(module)
    if file.endswith("__init__.py"):
        below = _file_of(f"{module}.{name}")
        if (ROOT / below).exists():
            return below, ""
        for node in tree_of(file).body:
            if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
                return _origin(node.module or "", name)
    return file, name


@cache
def definitions_in(file: str) -> dict[str, ast.stmt]:
    """Return the functions and classes of a file by name."""
    return {
        node.name: node
        for node in tree_of(file).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def _uses(file: str, step: Step) -> bool:
    """Say whether `file` imports the step's file and mentions its name."""
    if file == step.file or step.file not in {origin for origin, _ in imports_of(file)}:
        return False
    nodes = list(ast.walk(tree_of(file)))
    return any(
        (isinstance(node, ast.Name) and node.id == step.name)
        or (isinstance(node, ast.Attribute) and node.attr == step.name)
        for node in nodes
    )


@cache
def _tables() -> dict[str, tuple[str, str]]:
    """Return the file and class of each table of the bus."""
    return {
        str(statement.value.value): ("events/tables.py", name)
        for name, node in definitions_in("events/tables.py").items()
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and getattr(statement.targets[0], "id", "") == "__tablename__"
    }


def _shares(file: str, hop: Hop) -> bool:
    """Say whether `file` imports the table, event or module of the hop."""
    imported = imports_of(file)
    if hop.kind == "table":
        return _tables().get(hop.thing) in imported
    if hop.kind == "event":
        return any(
            name == hop.thing and origin.startswith("events/catalog/") for origin, name in imported
        )
    return hop.thing in {origin for origin, _ in imported}


def _named(nodes: Iterable[ast.AST], name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in nodes)


def _creates(file: str, event: str) -> bool:
    calls = [node.func for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)]
    return _named(calls, event)


def _subscribes(step: Step, event: str) -> bool:
    """Say whether the step's function is subscribed to the event, by name or as a starred list."""
    function = definitions_in(step.file).get(step.name)
    for decorator in getattr(function, "decorator_list", []):
        if isinstance(decorator, ast.Call) and any(
            _named([decorator.func], name) for name in ("subscribe", "subscribe_batch")
        ):
            starred = any(isinstance(each, ast.Starred) for each in decorator.args)
            named = ast.walk(tree_of(step.file) if starred else decorator)
            return _named(named, event)
    return False


def breaks_in(legs: list[Leg]) -> list[str]:
    """Return every place where the code does not take the path."""
    found = []
    for number, leg in enumerate(legs):
        earlier = {step.file for before in legs[:number] for step in before.steps}
        for hop in leg.hops:
            found += _breaks_of_hop(hop, earlier, leg.steps)
        entered = {hop.end for hop in leg.hops}
        for index, step in enumerate(leg.steps):
            if step.name not in definitions_in(step.file):
                found.append(f"{step.file} does not exist or does not define {step.name}")
            elif index and step.file not in entered:
                called = any(_uses(before.file, step) for before in leg.steps[:index])
                found += [] if called else [f"no step before it uses {step.name} of {step.file}"]
    return found


def _breaks_of_hop(hop: Hop, earlier: set[str], steps: list[Step]) -> list[str]:
    entered = [step for step in steps if step.file == hop.end]
    found = [] if hop.start in earlier else [f"{hop.start} is no step before the hop"]
    found += [] if entered else [f"{hop.end} is no step after the hop"]
    found += [
        f"{file} does not use the {hop.kind} {hop.thing}"
        for file in (hop.start, hop.end)
        if not _shares(file, hop)
    ]
    if hop.kind == "event":
        subscribed = any(_subscribes(step, hop.thing) for step in entered)
        found += [] if _creates(hop.start, hop.thing) else [f"{hop.start} creates no {hop.thing}"]
        found += [] if subscribed else [f"no step of {hop.end} subscribes to {hop.thing}"]
    return found


def test_the_path_of_an_order_is_the_one_that_the_code_takes():
    legs = path_of(PAGE)

    assert len(legs) > 5
    assert breaks_in(legs) == []


WRONG = [
    ("`quote`: reads", "`prices`: reads"),  # a function that is not there
    ("events/relay/fanout.py", "events/relay/fan_out.py"),  # a file that is not there
    ("table `deliveries`", "table `heartbeats`"),  # a table that neither side uses
    ("event `OrderConfirmed`", "event `OrderCancelled`"),  # an event that leads elsewhere
    ("from `tasks/payment.py`", "from `tasks/email.py`"),  # not on the way yet
    ("(../web/idempotency.py), `once`", "(../web/filters.py), `span`"),  # not called from there
]


@pytest.mark.parametrize(("right", "wrong"), WRONG)
def test_a_path_that_the_code_does_not_take_is_found(right: str, wrong: str):
    assert right in PAGE

    assert breaks_in(path_of(PAGE.replace(right, wrong))) != []
