"""Round trips of the last seconds as bars, so that the move from relay to direct is a drop.

     190 ms ▇▇▇▆
            ████
      60 ms ████▁▁▁▁▁▁▁▁▁▁▁▁▁

One column is `COLUMN` seconds, the newest at the right; it has the longest round trip of the pings that were
sent then. A column with a lost ping has a mark at its foot.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.model.beat import Beat
from lab.view.demo.canvas import Canvas, Row
from lab.view.demo.glyphs import Glyphs
from lab.view.scene import Path

COLUMN = 0.25  # seconds
_AXIS = 9  # columns of the scale at the left
_LEAST = 10.0  # ms: the scale's top is not below that
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)  # what a scale's top may begin with


def chart(beats: Sequence[Beat], now: float, width: int, height: int, glyphs: Glyphs) -> list[Row]:
    columns = width - _AXIS - 1
    highest: dict[int, float] = {}
    lost = set()
    answered = {beat.seq for beat in beats if beat.rtt_ms is not None}
    for beat in beats:
        column = _column(beat.sent, now, width)
        if beat.rtt_ms is not None:
            highest[column] = max(beat.rtt_ms, highest.get(column, 0.0))
        elif beat.seq not in answered:
            lost.add(column)
    top = scale([value for column, value in highest.items() if 0 <= column < columns])
    canvas = Canvas(width, height)
    canvas.write(0, 0, f"{top:>5.0f} ms ", "faint")
    canvas.write(0, height - 1, f"{0:>5} ms ", "faint")
    for column in range(columns):
        x = _AXIS + column
        _bar(canvas, x, highest.get(column, 0.0) / top, glyphs.bars)
        if column in lost:
            canvas.write(x, height - 1, glyphs.lost, "bad")
    return canvas.rows()


def marks(paths: Sequence[Path], now: float, width: int) -> Row:
    """One row below the chart: where the path became what it is."""
    canvas = Canvas(width, 1)
    end = width
    for path in reversed(paths):
        if path.since is not None and (x := _AXIS + _column(path.since, now, width)) >= _AXIS:
            look = {"direct": "good", "relay": "solid"}.get(path.kind, "label")
            word = f"^{path.kind}"
            canvas.write(x, 0, word if x + len(word) < end else "^", look)
            end = min(end, x)
    return canvas.rows()[0]


def _column(at: float, now: float, width: int) -> int:
    """Among the bars; below 0 if it is not shown any more."""
    return width - _AXIS - 2 - int(now / COLUMN) + int(at / COLUMN)


def seconds_shown(width: int) -> float:
    return (width - _AXIS - 1) * COLUMN


def scale(values: Sequence[float]) -> float:
    """A round number that is not below any of these."""
    most = max([_LEAST, *values])
    power = 1.0
    while power * _STEPS[-1] < most:
        power *= 10
    return next(step * power for step in _STEPS if step * power >= most)


def _bar(canvas: Canvas, x: int, share: float, bars: str) -> None:
    if share <= 0:
        return
    eighths = max(1, round(share * canvas.height * len(bars)))
    for y in range(canvas.height - 1, -1, -1):
        filled = min(eighths, len(bars))
        if filled <= 0:
            return
        canvas.write(x, y, bars[filled - 1], "bar")
        eighths -= filled
