"""A run of benchmarks as one HTML page: the picture of the goals, and every table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from lab.view.page import page
from tests.bench.figures import Table
from tests.bench.picture import svg

CODE = re.compile("`([^`]+)`")
STYLE = """
td, th { border-bottom: 1px solid var(--line); padding: .2rem .7rem; text-align: left; }
svg { width: 100%; min-width: 44rem; height: auto; }
"""


def html(tables: Sequence[Table]) -> str:
    return page("Benchmarks", _body(tables), STYLE)


def _body(tables: Sequence[Table]) -> Iterator[str]:
    yield "<h1>Benchmarks: the numbers to reach, and those reached</h1>"
    yield f'<div class="scroll">{svg(tables)}</div>'
    for table in tables:
        yield f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead>'
        yield _row("th", table.columns) + "</thead><tbody>"
        yield from (_row("td", row) for row in table.rows)
        yield "</tbody></table></div>"
        yield from (f"<p>{_coded(note)}</p>" for note in table.notes)


def _coded(text: str) -> str:
    """What Markdown has between `backticks` is code here too."""
    return CODE.sub(r"<code>\1</code>", escape(text))


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{_coded(cell)}</{tag}>" for cell in cells) + "</tr>"
