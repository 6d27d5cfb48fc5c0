"""All moments of the last while, for those who come late: one sum of what is older, then each one."""

from __future__ import annotations

import json
from collections import deque

from lab.view.web.moments import ADDED, LASTING, Moment

KEPT = 600.0  # seconds
LONGEST = 2000  # sentences, moves or beats in the sum


def encoded(moment: Moment) -> str:
    return json.dumps(moment, separators=(",", ":"))


class History:
    def __init__(self) -> None:
        self._sum: Moment = {"at": 0.0}
        self._moments: deque[tuple[Moment, str]] = deque()

    def add(self, moment: Moment) -> str:
        """Returns it as JSON."""
        text = encoded(moment)
        self._moments.append((moment, text))
        while moment["at"] - self._moments[0][0]["at"] > KEPT:
            self._sum = summed(self._sum, self._moments.popleft()[0])
        return text

    def told(self) -> str:
        """A JSON list: the sum, and each moment since."""
        return f"[{','.join([encoded(self._sum), *(text for _, text in self._moments)])}]"


def summed(before: Moment, moment: Moment) -> Moment:
    """What is known after both. Packets that have passed are gone."""
    lasting = {key: moment[key] for key in LASTING if key in moment}
    lists = {key: [*before.get(key, ()), *moment.get(key, ())][-LONGEST:] for key in ADDED[1:]}
    return {**before, "at": moment["at"], **lasting, **lists}
