"""Only the ledger writes deliveries: no other module has a statement or an assignment that does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("events", "tasks", "web", "tidings")
LEDGER = "events/ledger.py"
# Columns that no other table has: an assignment to one of them writes a delivery.
COLUMNS = {"sends", "died_at", "lost_count", "unfinished_starts"}
WRITES = {"update", "insert", "delete"}
SQL = re.compile(r"\b(?:update|insert into|delete from)\s+[\"`]?deliveries\b", re.IGNORECASE)


def _mentions(node: ast.AST | None) -> bool:
    """Tell whether an expression names the class `Delivery` or its table."""
    return node is not None and any(
        (isinstance(each, ast.Name) and each.id in ("Delivery", "DELIVERIES"))
        or (isinstance(each, ast.Attribute) and each.attr == "Delivery")
        for each in ast.walk(node)
    )


def _names(target: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}


def _rows(tree: ast.AST) -> set[str]:
    """Return the names of variables that hold deliveries, by annotation or by their query."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=annotation) if _mentions(annotation):
                found.add(node.arg)
            case ast.AnnAssign() if _mentions(node.annotation) or _mentions(node.value):
                found |= _names(node.target)
            case ast.Assign() if _mentions(node.value):
                found |= {name for target in node.targets for name in _names(target)}
            case ast.For() | ast.comprehension() if (
                _mentions(node.iter) or _names(node.iter) & found
            ):
                found |= _names(node.target)
    return found


def _is_write(call: ast.Call, rows: set[str]) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name == "Delivery":
        return True
    if not call.args:
        return False
    first = call.args[0]
    if name in WRITES and _mentions(first):
        return True
    return name in ("delete", "setattr") and isinstance(first, ast.Name) and first.id in rows


def writes(source: str) -> Iterator[str]:
    """Yield line and text of each write of a delivery in the source of a module."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {node for function in functions for node in ast.walk(function)}
    for function in functions:
        yield from _writes_among(ast.walk(function), _rows(function))
    yield from _writes_among((node for node in ast.walk(tree) if node not in inside), _rows(tree))


def _writes_among(nodes: Iterator[ast.AST], rows: set[str]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Call() if _is_write(node, rows):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Attribute(ctx=ast.Store(), value=value, attr=attribute):
                if attribute in COLUMNS or (isinstance(value, ast.Name) and value.id in rows):
                    yield f"{node.lineno}: {ast.unparse(node)} ="
            case ast.Constant(value=str() as text) if SQL.search(text):
                yield f"{node.lineno}: {text}"


def test_no_other_module_writes_deliveries() -> None:
    found = {
        name: lines
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (name := path.relative_to(ROOT).as_posix()) != LEDGER
        if (lines := list(writes(path.read_text(encoding="utf-8"))))
    }

    assert found == {}


def test_the_ledger_writes_deliveries() -> None:
    assert len(list(writes((ROOT / LEDGER).read_text(encoding="utf-8")))) >= 5


@pytest.mark.parametrize(
    "source",
    [
        "session.execute(update(Delivery).values(state='dead'))",
        "session.execute(sa.insert(tables.Delivery), rows)",
        "session.execute(delete(Delivery).where(Delivery.queue == 'notes'))",
        "session.execute(update(Delivery.__table__))",
        "session.execute(update(DELIVERIES).values(due_at=now))",
        "session.add(Delivery(state='pending'))",
        "for row in session.scalars(select(Delivery)):\n    row.state = 'dead'",
        "row = session.get_one(Delivery, key)\nrow.error = None",
        "def f(row: Delivery) -> None:\n    setattr(row, 'error', None)",
        "rows = session.scalars(select(Delivery)).all()\nfor row in rows:\n    session.delete(row)",
        "anything.lost_count += 1",
        "session.execute(text('UPDATE deliveries SET sent_at = NULL'))",
    ],
)
def test_a_write_is_found(source: str) -> None:
    assert list(writes(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "session.execute(update(LogEntry).values(relayed_at=now))",
        "found = session.scalars(select(Delivery.event_id).where(Delivery.state == 'dead'))",
        "order.state = 'cancelled'",
        "counts.update(dead=1)",
        "TracedDelivery(row.id)",
        "session.execute(text('SELECT * FROM deliveries'))",
    ],
)
def test_a_read_or_a_write_of_another_table_is_not(source: str) -> None:
    assert list(writes(source)) == []
