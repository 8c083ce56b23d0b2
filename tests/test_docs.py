"""The documents are true: their code runs; their commands, links, files and tests exist."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tasks.commands import PlaceOrder
from tasks.products import SEED
from tests import forked, tutorial
from tests.compose import ROOT
from tests.servers import HANG
from tidings.all_settings import CLASSES
from tidings.cli import main as tidings

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.slow
def test_the_subscriber_of_the_tutorial_works_as_it_is_written(tmp_path: Path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/loyalty.py").write_text(tutorial.files()["tasks/loyalty.py"])
    test = tutorial.files()["tests/tasks/test_loyalty.py"]
    (tmp_path / "test_loyalty.py").write_text(test)
    (tmp_path / "dropped_in.py").write_text(
        f"import tasks\n\ntasks.__path__.append({str(tmp_path / 'tasks')!r})\n"
    )
    options = [
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(ROOT),
        "-p",
        "dropped_in",
        "-p",
        "tests.conftest",
        "-q",
    ]

    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_loyalty.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )

    assert "2 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("name", ["tracer", "publish", "upcaster", "batch", "call", "eraser"])
def test_the_code_of_the_how_to_runs(name: str, tmp_path: Path):
    [block] = re.findall(
        rf"<!-- {name} -->\n```python\n(.*?)```", (ROOT / "docs/how-to.md").read_text(), re.DOTALL
    )
    url = f"sqlite:///{tmp_path / 'tidings.sqlite'}"
    tables = (
        "from events import Base, database\nBase.metadata.create_all(database.database().writer)"
    )
    strict = "import warnings\nwarnings.simplefilter('error')"
    (tmp_path / "how_to.py").write_text(f"{strict}\n{tables}\n{block}")

    # In a process of its own: its events and subscriptions are no part of the shop.
    env = {"PYTHONPATH": str(ROOT), "DATABASE_URL": url}
    run = forked.run("how_to", env=env, cwd=tmp_path, modules=forked.BUS)

    assert run.returncode == 0, run.stderr


def _written(default: object) -> str:
    return (
        f"{default:g}"
        if isinstance(default, float)
        else "none"
        if default in ("", None)
        else str(default)
    )


def test_every_setting_is_explained_with_its_default():
    rows = dict(
        re.findall(
            r"^\| `([A-Z_]+)` \| (.*?) \|", (ROOT / "docs/how-to.md").read_text(), re.MULTILINE
        )
    )
    fields = {
        name.upper(): field.default for kind in CLASSES for name, field in kind.model_fields.items()
    }

    assert rows.keys() == fields.keys()
    assert {
        name: shown for name, shown in rows.items() if shown.strip("`") != _written(fields[name])
    } == {}


def _blocks(text: str) -> tuple[list[tuple[str, str]], str]:
    """Return the fenced blocks with their languages, and the text around them."""
    blocks, around, inside = [], [], None
    for line in text.splitlines():
        if line.startswith("```"):
            inside = None if inside is not None else (line[3:], [])
            if inside:
                blocks.append(inside)
        else:
            (around if inside is None else inside[1]).append(line)
    return [(language, "\n".join(lines)) for language, lines in blocks], "\n".join(around)


def _lines() -> Iterator[str]:
    """Yield every command line to type: of blocks without a language, and of a console's."""
    for document in DOCUMENTS:
        for language, block in _blocks(document.read_text())[0]:
            if language in ("", "console"):
                for line in block.replace("\\\n", " ").splitlines():
                    yield line.removeprefix("$ ").split("  #")[0].strip()


def _mentions() -> Iterator[str]:
    """Yield every command that is quoted within a text."""
    for document in DOCUMENTS:
        yield from re.findall(
            r"`((?:tidings|celery|make) [^`]+)`", _blocks(document.read_text())[1]
        )


def _unique(program: str, commands: Iterator[str]) -> list[str]:
    return sorted({command for command in commands if command.startswith(program + " ")})


def _parse(
    command: click.Command, name: str, words: list[str], parent: click.Context | None = None
) -> click.Context:
    """Parse a whole command line without running it. Raises click's errors."""
    context = command.make_context(name, words, parent=parent)
    rest = [*context._protected_args, *context.args]
    if isinstance(command, click.Group) and rest:
        found, below, left = command.resolve_command(context, rest)
        assert below is not None
        return _parse(below, found or "", left, context)
    return context


@pytest.mark.parametrize("line", _unique("tidings", _lines()))
def test_each_line_of_tidings_in_the_documents_can_be_typed(line: str):
    program, *words = shlex.split(line)

    given = _parse(tidings, program, words).params

    reads = given.get("dry_run") or given.get("preview") or given.get("settle") is False
    needs_no_reason = reads or "gateway" in given
    assert needs_no_reason or given.get("why") != "", "it asks for a reason, and a script has none"


@pytest.mark.parametrize("mention", _unique("tidings", _mentions()))
def test_each_command_of_tidings_that_a_text_mentions_exists(mention: str):
    answer = CliRunner().invoke(tidings, [*shlex.split(mention)[1:], "--help"])

    assert answer.exit_code == 0, answer.output


def test_each_worker_that_a_document_starts_is_started_as_everywhere():
    lines = {*_unique("celery", _lines()), *_unique("celery", _mentions())}
    worker = r"worker -Q (\w+) -n \2@%h(?: -c \d+)?"
    other = r"purge|beat|bus [\w ]+|(?:control|inspect|call) [\w .]+"
    usual = re.compile(rf"celery -A (?:tasks|your.app) (flower|tidings|{worker}|{other})")

    assert lines
    assert [line for line in lines if not usual.fullmatch(line)] == []


def test_the_order_of_the_how_to_is_one_that_the_shop_accepts():
    blocks, _ = _blocks((ROOT / "docs/how-to.md").read_text())
    [block] = [block for _, block in blocks if block.startswith("curl -i")]
    [body] = re.findall(r"-d '(.*)'", block, re.DOTALL)

    command = PlaceOrder.model_validate_json(body)

    assert {item.sku for item in command.items} <= {sku for sku, *_ in SEED}


def test_each_target_of_make_in_the_documents_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        command.split()[1]
        for command in (*_unique("make", _lines()), *_unique("make", _mentions()))
    }

    assert named - targets == set()


def test_each_file_that_a_document_links_to_is_there():
    links = [
        (document, link)
        for document in DOCUMENTS
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    ]

    assert [
        f"{document.name}: {link}"
        for document, link in links
        if "://" not in link and not (document.parent / link).exists()
    ] == []


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def test_each_heading_that_a_document_links_to_is_there():
    links = [
        (document, document.parent / link if link else document, anchor)
        for document in DOCUMENTS
        for link, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)]+)\)", document.read_text())
    ]

    assert [
        f"{document.name}: {target.name}#{anchor}"
        for document, target, anchor in links
        if anchor not in _anchors(target)
    ] == []


def test_each_test_that_a_document_names_exists():
    missing = []
    for document in DOCUMENTS:
        for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", document.read_text()):
            path = ROOT / file
            if not path.exists() or not re.search(
                rf"^\s*(?:async )?def {name}\(", path.read_text(), re.MULTILINE
            ):
                missing.append(f"{document.name}: {file}::{name}")

    assert missing == []


def test_each_file_that_a_document_names_exists():
    named = [
        (document.name, name)
        for document in DOCUMENTS
        for name in re.findall(
            r"`((?:events|tasks|web|tidings|tests|docs|benchmarks)/[\w/]*(?:\.\w+)?)`",
            document.read_text(),
        )
    ]

    assert named
    assert [
        (document, name)
        for document, name in named
        if name not in tutorial.files() and not (ROOT / name).exists()
    ] == []


def test_the_handler_of_the_readme_is_the_one_of_the_tutorial():
    blocks, _ = _blocks((ROOT / "README.md").read_text())
    [handler] = [block for language, block in blocks if language == "python"]

    assert handler in tutorial.files()["tasks/loyalty.py"]


def test_the_readme_can_be_read_in_one_go():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def _prose(document: Path) -> list[str]:
    """Return the lines of a document that are sentences: no tables, headings, code or pictures."""
    around = _blocks(document.read_text())[1].splitlines()
    sentences = [re.sub(r"^\s*(?:\d+\.|-) ", "", line) for line in around if line.strip()]
    return [line for line in sentences if not re.match(r"\||#|:::|<!--|!\[|\[.*·", line)]


def test_every_line_of_prose_is_one_sentence():
    lines = [(document.name, line) for document in DOCUMENTS for line in _prose(document)]
    two = re.compile(r"[\w)`\"*][.?!](?:\*\*)? (?=[A-Z`\[])")
    ends = re.compile(r"[.:?!;,](?:\*\*)?$|\)$|`$|, and$")

    assert [(name, line) for name, line in lines if two.search(line)] == []
    assert [(name, line) for name, line in lines if not ends.search(line)] == []
