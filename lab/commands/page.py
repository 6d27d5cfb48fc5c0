"""The demo as a page: what `lab.demo --web` does."""

from __future__ import annotations

from contextlib import AbstractContextManager

from lab.commands.command import say
from lab.commands.staging import Stage
from lab.errors import CannotHere

HOST, PORT = "127.0.0.1", 8642


class Page:
    """Holds its port from the start, so that nothing is brought up for a port that somebody else has."""

    def __init__(self, host: str, port: int) -> None:
        try:
            from lab.view.web.serve import entrance
        except ModuleNotFoundError as error:
            hint = "pip install 'punchlab[web]' brings it"
            raise CannotHere(f"a page needs the Python package {error.name}", hint) from None
        self._entrance = entrance(host, int(port))  # a socket takes no subclass of int

    def show(self, stage: Stage) -> None:
        """Until the lab is gone, or somebody presses Ctrl-C."""
        from lab.judge.feed import Feed
        from lab.view.web.serve import Put, serve

        def feed(put: Put) -> AbstractContextManager[object]:
            return Feed(stage.lab, put, stage.pair)

        stage.lab.topology()  # raises for a lab that has none, and so no drawing
        if stage.note:
            say(stage.note)
        serve(self._entrance, stage.lab, feed, stage.pair, lambda line: print(line, flush=True))
