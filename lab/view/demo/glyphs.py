"""The characters of lines and bars: for terminals that have Unicode's, and for those that have not."""

from __future__ import annotations

from dataclasses import dataclass

from lab.view.scene import Style


@dataclass(frozen=True, slots=True)
class Glyphs:
    across: dict[Style | None, str]  # repeated along a line
    upright: dict[Style | None, str]
    corners: str  # upper left, upper right, lower left, lower right
    box: str  # across, upright, where a line comes in from the left, from the right
    bars: str  # the lowest first
    lost: str
    out: str  # marks what is unplugged or not running

    def line(self, style: Style | None, length: int) -> str:
        pattern = self.across[style]
        return (pattern * length)[:length]


UNICODE = Glyphs(
    across={"solid": "─", "dashed": "╌", "double": "═", None: " ·"},
    upright={"solid": "│", "dashed": "╎", "double": "║", None: "·"},
    corners="┌┐└┘",
    box="─│┤├",
    bars="▁▂▃▄▅▆▇█",
    lost="×",
    out="✗",
)
ASCII = Glyphs(
    across={"solid": "-", "dashed": ". ", "double": "=", None: " "},
    upright={"solid": "|", "dashed": ":", "double": "#", None: " "},
    corners="++++",
    box="-|||",
    bars="_#",
    lost="x",
    out="!",
)


def glyphs_for(encoding: str) -> Glyphs:
    return UNICODE if encoding.lower().replace("-", "").startswith("utf") else ASCII
