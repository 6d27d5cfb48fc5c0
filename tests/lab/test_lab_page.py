"""lab/README.md explains each word of the doctor's, and the doctor knows what our daemons need."""

from __future__ import annotations

import re
from pathlib import Path

from lab.world.daemons.known import KNOWN, daemon_class
from lab.world.preflight import PROGRAMS, TRIALS

EVERYWHERE = {"bash", "tee", "stdbuf"}
PAGE = Path(__file__).parents[2] / "lab" / "README.md"


def test_each_capability_is_explained() -> None:
    section = PAGE.read_text().partition("## When something does not work")[2].partition("\n## ")[0]
    words = set(re.findall(r"`([^`]+)`", section))
    known = {each.name for each in TRIALS} | {program for program, *_ in PROGRAMS}
    assert known | {"namespaces", "user namespaces"} <= words


def test_each_program_of_a_daemon_is_a_capability() -> None:
    needed = {program for word in KNOWN for program in daemon_class(word).needs}
    assert needed - EVERYWHERE <= {program for program, *_ in PROGRAMS}
