"""The demo as lines, for logs and for terminals that can do no more.

0.42  packets from node-a to node-b go through nyc
0.48  moving through nyc: data; between the ends: nothing
1.00  round trip 183 ms, 0 of 8 packets lost
"""

from __future__ import annotations

from collections.abc import Callable

from lab.view.demo import picture
from lab.view.demo.picture import Between, Lines
from lab.view.demo.screen import About, clock, round_trip
from lab.view.scene import Scene, Style

EVERY = 1.0  # seconds between two lines of round trips
_WORDS: dict[Style | None, str] = {
    "solid": "data",
    "dashed": "attempts",
    "double": "direct data",
    None: "nothing",
}


class Plain:
    def __init__(self, scene: Scene, about: About, say: Callable[[str], None]) -> None:
        self._scene, self._about, self._say = scene, about, say
        self._told = 0
        self._moving = ""
        self._counted = about.started

    def tick(self, now: float) -> bool:
        way = picture.between(self._scene.plan, *self._about.pair)
        story = self._scene.story(now)
        for sentence in story[self._told :]:
            self._line(sentence.at, sentence.text)
        self._told = len(story)
        if (words := moving(way, picture.lines(self._scene, way, now))) != self._moving:
            self._moving = words
            self._line(now, words)
        if now - self._counted >= EVERY:
            self._counted += EVERY
            self._line(now, counts(self._scene, now))
        return True

    def _line(self, at: float, text: str) -> None:
        self._say(f"{clock(at, self._about):>8}  {text}")


def moving(way: Between, lines: Lines) -> str:
    """What moves on the two ways between the ends."""
    leg = lines.left_leg or lines.right_leg
    relays = ", ".join(way.relays) or "a relay"
    return f"moving through {relays}: {_WORDS[leg]}; between the ends: {_WORDS[lines.direct]}"


def counts(scene: Scene, now: float) -> str:
    answered, lost = scene.answered(now), scene.lost(now)
    return f"round trip {round_trip(scene, now)}, {lost} of {answered + lost} packets lost"


def summary(scene: Scene, about: About, now: float) -> str:
    """What the whole of it was, when it is over."""
    a, b = about.pair
    kinds = " -> ".join(path.kind for path in scene.history(a, b, now)) or "none"
    answered, lost = scene.answered(now), scene.lost(now)
    return f"{a} to {b}: {kinds}; {lost} of {answered + lost} packets lost"
