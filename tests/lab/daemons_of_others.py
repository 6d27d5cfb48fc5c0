"""Daemon classes as somebody else would write them: runs = "tests.lab.daemons_of_others:Greeter"."""

from __future__ import annotations

from lab.world.daemons.contract import Daemon, Event

GREETER = """
echo 'greeter: my words are not JSON'
echo started >&2
echo greeting bob
exec sleep 1000
"""


class Greeter(Daemon):
    """Tells in its own words whom it greets, and is ready when it has greeted somebody."""

    def argv(self) -> list[str]:
        return ["sh", self.place.write("greeter.sh", GREETER)]

    def event(self, line: str) -> Event | None:
        word, _, whom = line.partition(" ")
        return {"event": "greeted", "whom": whom} if word == "greeting" else None

    def says_ready(self, line: str, event: Event | None) -> bool:
        return event is not None


class Forgetful(Greeter):
    def argv(self) -> list[str]:
        return [self.settings["program"]]


class Hasty(Greeter):
    """Cannot read a line that it did not expect."""

    def event(self, line: str) -> Event | None:
        word, whom = line.split(" ")
        return {"event": word, "whom": whom}


class NoDaemon:
    pass
