"""The state diagrams of the cores, drawn from what the cores do.

    python -m tests.node.state_diagrams        writes them into node/README.md

Each core lives some thousand short lives by fixed dice, and each change of its state that was seen is an
arrow; so the diagrams are the code's, whatever anybody meant. A test compares them with the page.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.node.lives import ClientLife, Life, PathLife, RelayLife, ServerLife

PAGE = Path(__file__).parents[2] / "node" / "README.md"
LIVES, STEPS = 500, 40
CORES: dict[str, Callable[[Random], Life]] = {
    "paths": PathLife,
    "relays": RelayLife,
    "relay_client": ClientLife,
    "relay_server": ServerLife,
}


def changes(born: Callable[[Random], Life]) -> dict[tuple[str, str], set[str]]:
    """From which state to which, by which steps."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for seed in range(LIVES):
        dice = Random(seed)
        life = born(dice)
        seen["", life.state].add("")
        for _ in range(STEPS):
            before, steps = life.state, life.steps()
            if not steps:
                break
            name = dice.choice(list(steps))
            steps[name]()
            if life.state != before:
                seen[before, life.state].add(name)
    return seen


def diagram(born: Callable[[Random], Life]) -> str:
    """As Mermaid."""
    arrows = changes(born)
    names = {name: re.sub(r"\W+", "_", name) for pair in arrows for name in pair}
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{name}" as {short}' for name, short in names.items() if name != short]
    for (before, after), steps in sorted(arrows.items()):
        why = f" : {', '.join(sorted(steps))}" if before else ""
        lines.append(f"    {names[before] or '[*]'} --> {names[after]}{why}")
    return "\n".join(lines)


def drawn(page: str) -> str:
    """The page with its diagrams as they are now: each stands after a comment that names its core."""
    for name, born in CORES.items():
        block = f"<!-- {name} -->\n```mermaid\n{diagram(born)}\n```"
        page, found = re.subn(rf"<!-- {name} -->\n```mermaid\n((?!```).*\n)*```", block, page)
        assert found == 1, f"{PAGE.name} has no place for {name}"
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
