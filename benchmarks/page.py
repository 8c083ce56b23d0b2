"""The page of a run, as Markdown: the machine, the picture, and a table for each benchmark."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.report import Result, Row, three

_DATABASES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
_BROKERS = {"valkey": "Valkey", "rabbitmq": "RabbitMQ"}


def write(found: Mapping[str, Any], results: Sequence[Result], picture: str) -> str:
    """Return the page; `found` is what stands in the JSON file, `picture` the name of the SVG."""
    stack = f"{_DATABASES[found['database']]} and {_BROKERS[found['broker']]}"
    lines = [f"# One run on {stack}", "", *_about(found), "", f"![The contenders]({picture})"]
    for result in results:
        lines += ["", f"## {result.name}", "", f"{_sentence(result.title)}", *_table(result.rows)]
        lines += ["", *map(_sentence, result.notes)] if result.notes else []
    return "\n".join(lines) + "\n"


def _about(found: Mapping[str, Any]) -> Iterator[str]:
    about = found["machine"]
    options = [f"--database {found['database']}", f"--broker {found['broker']}"]
    options.append("--quick" if found["quick"] else f"--rounds {found['rounds']}")
    versions = ", ".join(f"{name} {of}" for name, of in _versions(about))
    yield f'Written by `make bench OPTIONS="{" ".join(options)}"` in {found["minutes"]} minutes.'
    yield (
        f"The machine: {about['cores']} cores ({about['cpu']}), {about['memory_gb']} GB, "
        f"{about['disk_sync_ms']} ms to sync the disk, load before the run {about['load_before']}."
    )
    yield f"The versions: {versions}."
    if found["rounds"] > 1:
        yield "Three numbers are the least, the median and the most of the rounds."


def _versions(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Python", about["python"]
    yield from about["servers"].items()
    yield from about["packages"].items()


def _table(rows: Sequence[Row]) -> list[str]:
    """Return the table, without the columns that are empty in every row."""
    if not rows:
        return []
    heads = ("measure", "guarantee", "figure", "times the baseline", "note")
    cells = [(_text(row.name), row.guarantee, *_figures(row), _text(row.note)) for row in rows]
    used = [column for column in range(len(heads)) if any(line[column] for line in cells)]
    lines = [heads, ("---",) * len(heads), *cells]
    return ["", *(f"| {' | '.join(line[column] for column in used)} |" for line in lines)]


def _figures(row: Row) -> tuple[str, str]:
    value = f"{three(row.values)} {row.unit}" if row.values else ""
    return value, three(row.ratios) if row.ratios else ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _text(text: str) -> str:
    return text.replace("|", "\\|")
