"""All goals as bars in one SVG that needs nothing else: the line is the goal, and right of it is better."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from tests.bench.figures import Goal, Table, number

ROW, BAR, TEXT, UNIT = 24, 14, 430, 170  # px; UNIT: from nothing to the goal
MOST = 2.5  # times as good as the goal; a bar ends there
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2937 } .dim { fill: #6b7280 }
  .value { paint-order: stroke; stroke: #fff; stroke-width: 4px }
  .met { fill: #15803d } .missed { fill: #b45309 } line { stroke: #6b7280; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) { text { fill: #e5e7eb } .dim { fill: #9ca3af }
    .met { fill: #4ade80 } .missed { fill: #fbbf24 } .value { stroke: #0d1117 } }
"""


def svg(tables: Sequence[Table]) -> str:
    goals = [goal for table in tables for goal in table.goals]
    width, height = TEXT + round(MOST * UNIT) + 160, ROW * (len(goals) + 2)
    label = f"{sum(goal.met for goal in goals)} of {len(goals)} goals met"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{label}</title><style>{STYLE}</style>",
        f'<text x="8" y="17" class="dim">{label}</text>',
        f'<text x="{TEXT + UNIT + 4}" y="17" class="dim">goal; right of it is better</text>',
        f'<line x1="{TEXT + UNIT}" x2="{TEXT + UNIT}" y1="4" y2="{height - ROW}"/>',
    ]
    for row, goal in enumerate(goals, 1):
        out += _bar(goal, row * ROW)
    return "\n".join([*out, "</svg>\n"])


def score(goal: Goal) -> float:
    """1 at the goal, 2 when twice as good."""
    better, worse = (goal.value, goal.bound) if goal.at_least else (goal.bound, goal.value)
    return min(MOST, better / worse) if worse > 0 else (1.0 if better == worse else MOST)


def _bar(goal: Goal, y: int) -> list[str]:
    length = round(UNIT * score(goal))
    kind, words = ("met", "") if goal.met else ("missed", ", not met")
    bound = f"goal {number(goal.bound, goal.unit)}{words}"
    value = f"{number(goal.value, goal.unit)} ({bound})"
    return [
        f'<text x="8" y="{y + BAR}">{escape(goal.what)}</text>',
        f'<rect class="{kind}" x="{TEXT}" y="{y + 2}" width="{length}" height="{BAR}" rx="2"/>',
        f'<text x="{TEXT + length + 6}" y="{y + BAR}" class="dim value">{escape(value)}</text>',
    ]
