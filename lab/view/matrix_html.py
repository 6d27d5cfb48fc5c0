"""The matrix as one HTML page: a heat map, and each cell's story on demand.

Every cell is a button with a letter as well as a
colour, so that it can be read without colours and reached by keyboard; without scripts the table of all
cells below tells the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from lab.view.matrix_text import LEGEND, fields, mark, ms, rows, sums, told
from lab.view.page import page

Json = Mapping[str, Any]

FAST, SLOW = 10.0, 1000.0  # ms to a direct path: the two ends of the scale
STEPS = 5
TITLES = ("from", "to", "expected", "observed", "via", "first reply", "direct after", "lost")

STYLE = """
:root { --d0: #116329; --d1: #1a7f37; --d2: #4ac26b; --d3: #6fdd8b; --d4: #aceebb; }
@media (prefers-color-scheme: dark) { :root {
  --d0: #7ee787; --d1: #56d364; --d2: #2ea043; --d3: #1f6f32; --d4: #145523; } }
.heat { border-spacing: 2px; border-collapse: separate; }
.heat th { font-weight: 500; text-align: right; padding: 0 .5rem; white-space: nowrap; }
.heat thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .5rem 0; }
.heat button { width: 2.4rem; height: 2.1rem; border: 0; border-radius: 4px;
  font: 600 13px system-ui; cursor: pointer; }
.heat button:focus-visible, .heat button.is-chosen { outline: 3px solid var(--ink); }
.d0, .d1 { color: var(--strong); } .d2 { color: #04260f; } .d3, .d4 { color: var(--weak); }
.d0 { background: var(--d0); } .d1 { background: var(--d1); } .d2 { background: var(--d2); }
.d3 { background: var(--d3); } .d4 { background: var(--d4); }
.relay { background: var(--relay-paper); color: var(--relay); }
.wrong { background: var(--bad); color: #fff; } .again { box-shadow: inset 0 0 0 3px var(--again); }
#story { min-height: 5.5em; border-left: 4px solid var(--line); padding-left: 1rem; }
td { white-space: nowrap; }
.cells td, .cells th { border-bottom: 1px solid var(--line); padding: .2rem .6rem; text-align: left; }
li.bad, tr.bad td { color: var(--bad); font-weight: 600; }
.key { line-height: 1.9; }
.key span { line-height: 1.5; display: inline-block;
  padding: 0 .5rem; border-radius: 4px; margin-right: .3rem; }
"""

SCRIPT = """
const story = document.getElementById('story');
for (const cell of document.querySelectorAll('.heat button')) {
  const show = () => {
    document.querySelector('.is-chosen')?.classList.remove('is-chosen');
    cell.classList.add('is-chosen');
    story.textContent = cell.title;
  };
  cell.addEventListener('focus', show);
  cell.addEventListener('click', show);
}
"""


def html(report: Json) -> str:
    return page("NAT x NAT", _body(report), STYLE, SCRIPT)


def _body(report: Json) -> Iterator[str]:
    yield "<h1>NAT x NAT: expected beside observed</h1>"
    yield "<ul>" + "".join(f"<li>{escape(line)}" for line in sums(report)) + "</ul>"
    yield from _wrong(report)
    yield from _heat(report)
    yield f"<p>{escape(LEGEND)}</p>"
    yield _key()
    yield '<p id="story" aria-live="polite">Choose a cell: what was expected, why, and what was seen.</p>'
    yield from _cells(report)


def _wrong(report: Json) -> Iterator[str]:
    wrong = [told(cell) for cell in report["cells"] if cell["verdict"] != "agrees"]
    if wrong:
        yield "<h2>Not as expected</h2><ul>"
        yield from (f'<li class="bad">{escape(line)}' for line in wrong)
        yield "</ul>"


def _heat(report: Json) -> Iterator[str]:
    yield '<div class="scroll"><table class="heat"><thead><tr><td></td>'
    yield "".join(f'<th scope="col">{escape(name)}</th>' for name in report["profiles"])
    yield "</tr></thead><tbody>"
    for name, cells in rows(report):
        yield f'<tr><th scope="row">{escape(name)}</th>'
        yield "".join(map(_button, cells))
        yield "</tr>"
    yield "</tbody></table></div>"


def _button(cell: Json) -> str:
    story = escape(story_of(cell), quote=True)
    return f'<td><button class="{heat(cell)}" title="{story}">{mark(cell)}</button></td>'


def heat(cell: Json) -> str:
    """Its class: how soon the path was direct, relay, or wrong."""
    if cell["verdict"] != "agrees":
        return "wrong"
    again = " again" if cell["first_try"] else ""
    if cell["observed"]["path"] != "direct":
        return "relay" + again
    return f"d{step(cell['observed']['direct_after_ms'] or 0.0)}" + again


def step(milliseconds: float) -> int:
    """0 is fast; each step is about three times as slow as the one before."""
    value, at = FAST, 0
    while milliseconds > value and at < STEPS - 1:
        value, at = value * (SLOW / FAST) ** (1 / (STEPS - 1)), at + 1
    return at


def _key() -> str:
    ratio = (SLOW / FAST) ** (1 / (STEPS - 1))
    bounds = [f"to {FAST * ratio**at:.0f} ms" for at in range(STEPS - 1)] + ["longer"]
    direct = "".join(f'<span class="d{at}">{text}</span>' for at, text in enumerate(bounds))
    other = '<span class="relay">relay</span><span class="wrong">not as expected</span>'
    return f'<p class="key">direct after {direct} {other}</p>'


def story_of(cell: Json) -> str:
    if cell["observed"] is None:
        return told(cell)
    expected, seen = cell["expected"], cell["observed"]
    unplugged = seen["unplugged"]
    return (
        f"{cell['initiator']} calls {cell['responder']}. Expected: {expected['path']} "
        f"({expected['rule']}): {expected['reason']}. Observed: {seen['path']} via {seen['via']}; first "
        f"reply after {ms(seen['first_packet_ms'])}, direct after {ms(seen['direct_after_ms'])}, "
        f"{seen['lost']} of {seen['echoes']} echoes lost; with the relay unplugged "
        f"{unplugged['answered']} of {unplugged['echoes']} were answered."
    )


def _cells(report: Json) -> Iterator[str]:
    titles = [*TITLES, "relay unplugged", "verdict"]
    yield '<h2>Cells</h2><div class="scroll"><table class="cells"><thead><tr>'
    yield "".join(f"<th>{title}</th>" for title in titles) + "</tr></thead><tbody>"
    for cell in report["cells"]:
        bad = ' class="bad"' if cell["verdict"] != "agrees" else ""
        yield f"<tr{bad}>" + "".join(f"<td>{escape(f)}</td>" for f in fields(cell)) + "</tr>"
    yield "</tbody></table></div>"
