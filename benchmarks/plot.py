"""The picture of a run, as SVG: a bar for each contender, with its spread and its guarantee."""

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.report import Result, Row, spread

_COLOURS = {
    "at most once": "#c2410c",
    "at least once": "#64748b",
    "effect once": "#0f766e",
    "": "#0f766e",
}
_WIDTH, _LABELS, _BARS, _LINE = 860, 270, 400, 24
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1e293b } .title { font-weight: 600 }
.spread { stroke: #1e293b; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e2e8f0 } .spread { stroke: #e2e8f0 } }
""".strip()


def draw(results: Sequence[Result]) -> str:
    """Return the bars of those results that compare contenders."""
    parts, top = [], 0
    for result in results:
        rows = [row for row in result.rows if row.values and row.ratios]
        if rows:
            parts += _panel(result.title, rows, top)
            top += (len(rows) + 2) * _LINE
    legend = [*_legend({row.guarantee for each in results for row in each.rows}, top)]
    size = f'width="{_WIDTH}" height="{top + _LINE}" viewBox="0 0 {_WIDTH} {top + _LINE}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, *legend, "</svg>", ""])


def _panel(title: str, rows: Sequence[Row], top: int) -> Iterator[str]:
    most = max(max(row.values) for row in rows)
    yield _text(0, top + 16, title, "title")
    for index, row in enumerate(rows):
        yield from _bar(row, top + (index + 1) * _LINE, _BARS / most)


def _bar(row: Row, top: int, scale: float) -> Iterator[str]:
    least, median, largest = (each * scale for each in spread(row.values))
    middle = top + 12
    yield _text(0, top + 16, row.name)
    colour = _COLOURS[row.guarantee]
    yield f'<rect x="{_LABELS}" y="{top + 4}" width="{median:.1f}" height="16" fill="{colour}"/>'
    if len(row.values) > 1:
        ends = f'x1="{_LABELS + least:.1f}" x2="{_LABELS + largest:.1f}"'
        yield f'<line class="spread" {ends} y1="{middle}" y2="{middle}"/>'
    value = f"{spread(row.values)[1]:,} {row.unit}, × {spread(row.ratios)[1]:,}"
    yield _text(_LABELS + int(max(median, largest)) + 8, top + 16, value)


def _legend(guarantees: set[str], top: int) -> Iterator[str]:
    left = _LABELS
    for guarantee in filter(guarantees.__contains__, [*_COLOURS][:3]):
        box = f'x="{left}" y="{top + 4}" width="12" height="12"'
        yield f'<rect {box} fill="{_COLOURS[guarantee]}"/>'
        yield _text(left + 18, top + 15, guarantee)
        left += 140


def _text(left: int, base: int, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{left}" y="{base}"{named}>{escape(text)}</text>'
