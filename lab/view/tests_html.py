"""A run of tests as one HTML page: what passed, how long it took, and how the paths went in each lab."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lab.view.page import page
from lab.view.upgrades import Upgrades, svg

STYLE = """
.failed > details > summary, .failed b { color: var(--bad); } .passed b { color: var(--good); }
ul.tests { list-style: none; padding: 0; overflow-wrap: anywhere; }
ul.tests > li { border-top: 1px solid var(--line); padding: .2rem 0; }
summary { cursor: pointer; } summary small { opacity: .7; }
pre { overflow-x: auto; border-left: 4px solid var(--bad); padding: .3rem .8rem; font-size: 12px; }
svg.upgrades { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg.upgrades text { fill: var(--ink); } svg.upgrades line { stroke: var(--line); }
.relay { fill: var(--relay); } .peer-relay { fill: var(--again); } .direct { fill: var(--good); }
.key span { white-space: nowrap; margin-left: 1em; }
.key i { display: inline-block; width: 1em; height: 1em; margin-right: .3em; vertical-align: -.15em; }
.key .relay { background: var(--relay); } .key .peer-relay { background: var(--again); }
.key .direct { background: var(--good); }
ol.story { font-size: 13px; list-style: none; }
.story .bad { color: var(--bad); } .story .good { color: var(--good); }
"""
KEY = (
    '<p class="key">The path in use: <span><i class="relay"></i>relay</span> '
    '<span><i class="peer-relay"></i>peer relay</span> <span><i class="direct"></i>direct</span></p>'
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A lab in a test."""

    topology: str
    upgrades: Upgrades


@dataclass(frozen=True, slots=True)
class Ran:
    """A test that ran; `words` are the reason of a skip, or the end of a failure."""

    name: str
    outcome: str  # passed, failed, skipped
    seconds: float
    words: str = ""
    labs: Sequence[Drawn] = ()


def html(tests: Sequence[Ran], seconds: float) -> str:
    return page("Tests in labs", _body(tests, seconds), STYLE)


def _body(tests: Sequence[Ran], seconds: float) -> Iterator[str]:
    counts = Counter(test.outcome for test in tests)
    said = ", ".join(f"{counts[word]} {word}" for word in ("passed", "failed", "skipped"))
    yield f"<h1>Tests in labs</h1><p>{said} in {seconds:.0f} s.</p>{KEY}"
    for title, chosen in (
        ("Failed", [test for test in tests if test.outcome == "failed"]),
        ("In labs", [test for test in tests if test.labs and test.outcome != "failed"]),
        ("Without", [test for test in tests if not test.labs and test.outcome != "failed"]),
    ):
        if chosen:
            yield f'<h2>{title}: {len(chosen)}</h2><ul class="tests">'
            yield from map(_test, sorted(chosen, key=lambda test: -test.seconds))
            yield "</ul>"


def _test(test: Ran) -> str:
    failed = test.outcome == "failed"
    head = f"<b>{test.outcome}</b> {escape(test.name)} <small>{test.seconds:.2f} s</small>"
    inside = "".join(map(_lab, test.labs))
    if test.words:
        inside = f"<pre>{escape(test.words)}</pre>" + inside
    if not inside:
        return f'<li class="{test.outcome}">{head}</li>'
    opened = " open" if failed else ""
    return f'<li class="{test.outcome}"><details{opened}><summary>{head}</summary>{inside}</details></li>'


def _lab(lab: Drawn) -> str:
    story = "".join(
        f'<li class="{each.tone}">{each.at:.2f} s: {escape(each.text)}</li>'
        for each in lab.upgrades.story
    )
    told = f"<details><summary>what happened</summary><ol class='story'>{story}</ol></details>"
    return f"<p>{escape(lab.topology)}</p>{svg(lab.upgrades)}{told if story else ''}"
