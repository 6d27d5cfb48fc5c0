"""One screen of the demo: drawing, legend, paths, round trips, story, keys; rows of text, no terminal.

Made for 80 columns and 24 rows; a larger terminal has more of the chart and of the story, a smaller one less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from lab.view.demo import chart, picture
from lab.view.demo.canvas import Row, Span, text_of
from lab.view.demo.glyphs import Glyphs
from lab.view.scene import Path, Scene, Style
from lab.view.story import Sentence

WIDEST = 120  # columns: lines longer than that are hard to follow
_CHART = (4, 9)  # rows, from and to
_STORY = 4  # rows at the least
_LEGEND: tuple[tuple[Style, str], ...] = (
    ("solid", "data through the relay"),
    ("dashed", "attempts"),
    ("double", "direct"),
)


@dataclass(frozen=True, slots=True)
class About:
    """What stays the same while the demo runs."""

    name: str
    title: str
    pair: tuple[str, str]
    started: float
    note: str = ""  # what the demo has added to the topology


def screen(
    scene: Scene,
    about: About,
    now: float,
    size: tuple[int, int],
    glyphs: Glyphs,
    keys: str = "",
    said: str = "",
) -> list[Row]:
    """As many rows as the terminal has, none wider than it. `said`: the answer to the last key."""
    width, height = min(size[0], WIDEST), size[1]
    head = [
        _title(about, now, width),
        *picture.picture(scene, picture.between(scene.plan, *about.pair), now, width, glyphs),
        _legend(glyphs),
        *_paths(scene, about, now),
    ]
    foot = [[Span(said or f" {about.note}", "label" if said else "faint")], [Span(keys, "keys")]]
    free = height - len(head) - len(foot) - 2
    rows = max(_CHART[0], min(_CHART[1], free - _STORY))
    since = now - chart.seconds_shown(width)
    bars = chart.chart(scene.beats(since, now), now, width, rows, glyphs)
    marks = chart.marks(scene.history(*about.pair, now), now, width)
    story = _story(scene.story(now), about, width, free - rows)
    whole = [*head, _counts(scene, now), *bars, marks, *story]
    whole += [[] for _ in range(height - len(foot) - len(whole))]
    return [fit(row, width) for row in [*whole[: height - len(foot)], *foot][:height]]


def fit(row: Row, width: int) -> Row:
    """Cropped, if it is too wide."""
    fitting: Row = []
    for span in row:
        text = span.text[: width - len(text_of(fitting))]
        fitting.append(Span(text, span.look))
    return fitting


def clock(at: float, about: About) -> str:
    """Seconds since the demo began."""
    return f"{at - about.started:.2f}" if at >= about.started else "before"


def _title(about: About, now: float, width: int) -> Row:
    passed = f"{max(0.0, now - about.started):6.1f} s"
    words = f" {about.name}: {about.title}"
    if len(words) > width - len(passed) - 1:
        words = words[: width - len(passed) - 4] + "..."
    return [Span(words, "title"), Span(passed.rjust(width - len(words)), "faint")]


def _legend(glyphs: Glyphs) -> Row:
    row: Row = [Span(" ")]
    for style, meaning in _LEGEND:
        row += [Span(glyphs.line(style, 5), style), Span(f" {meaning}   ", "faint")]
    return row


def _paths(scene: Scene, about: About, now: float) -> list[Row]:
    a, b = about.pair
    return [_path(one, other, scene.path(one, other, now), now) for one, other in ((a, b), (b, a))]


def _path(a: str, b: str, path: Path, now: float) -> Row:
    if path.kind == "none":
        return [Span(f" {a} to {b}: "), Span("no path yet", "faint")]
    look = {"direct": "good", "relay": "solid"}.get(path.kind, "label")
    since = f", for {now - path.since:.1f} s" if path.since is not None else ""
    via = f" via {path.via}" if path.via else ""
    return [Span(f" {a} to {b}: "), Span(path.kind, look), Span(f"{via}{since}")]


def _counts(scene: Scene, now: float) -> Row:
    answered, lost = scene.answered(now), scene.lost(now)
    return [
        Span(f" round trip {round_trip(scene, now):>8}", "title"),
        Span("   packets lost so far: "),
        Span(str(lost), "bad" if lost else "good"),
        Span(f" of {answered + lost}", "faint"),
    ]


def round_trip(scene: Scene, now: float) -> str:
    """Of the newest reply, if there was one in the last second."""
    last = [beat.rtt_ms for beat in scene.beats(now - 1.0, now) if beat.rtt_ms is not None]
    if last:
        return f"{last[-1]:.0f} ms"
    return "no reply" if scene.answered(now) + scene.lost(now) else "none yet"


def _story(story: Sequence[Sentence], about: About, width: int, rows: int) -> list[Row]:
    """The newest, the last one below; what is too long goes on in the next row."""
    found: list[Row] = []
    for sentence in story[-rows:] if rows > 0 else ():
        time = f"{clock(sentence.at, about):>7} "
        look = sentence.tone if sentence.tone != "plain" else ""
        for n, text in enumerate(wrap(sentence.text, max(20, width - len(time) - 1))):
            found.append([Span(time if n == 0 else " " * len(time), "faint"), Span(text, look)])
    return found[-rows:]
