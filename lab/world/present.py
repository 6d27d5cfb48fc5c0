"""What a lab's topology is by now: the first one, with an override for each live change.

It is in the lab's folder, for clients and for the next change: `topology.json`, and its plan, `now.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadRequest, LabError
from lab.model import live
from lab.model.errors import TopologyError
from lab.model.layout import plan_of
from lab.model.network import Topology
from lab.model.plan import Plan
from lab.model.topology import loads

TOPOLOGY, PLAN = "topology.json", "now.json"


@dataclass(frozen=True, slots=True)
class Present:
    topology: Topology
    plan: Plan

    @classmethod
    def read(cls, folder: Path) -> Present:
        try:
            told = json.loads((folder / TOPOLOGY).read_text())
        except FileNotFoundError:
            problem = "this lab was made from a plan, not from a topology"
            raise BadRequest(problem, "of its routers only --flush can be asked") from None
        with _refused():
            return cls._of(loads(told["text"], told["file"], told["overrides"]))

    def with_router(self, router: str, profile: str, wan: Sequence[str]) -> Present:
        with _refused():
            after = live.with_nat(self.topology, router, profile) if profile else self.topology
            return self._of(live.with_wan(after, router, wan) if wan else after)

    def with_host_on(self, host: str, router: str) -> Present:
        with _refused():
            return self._of(live.moved(self.topology, host, router))

    @classmethod
    def _of(cls, topology: Topology) -> Present:
        return cls(topology, plan_of(topology))

    def nat(self, router: str) -> str:
        return live.nat_words(self.topology, router)

    @contextlib.contextmanager
    def kept(self, folder: Path) -> Iterator[None]:
        """What is done inside is written down first: on a full disk nothing changes."""
        papers = {TOPOLOGY: json.dumps(self._told()), PLAN: self.plan.to_json()}
        new = {name: folder / f"{name}.new" for name in papers}
        try:
            _write({new[name]: text for name, text in papers.items()})
            yield
            for name, file in new.items():
                os.replace(file, folder / name)
        finally:
            for file in new.values():
                file.unlink(missing_ok=True)

    def _told(self) -> dict[str, object]:
        assert self.topology.source is not None
        source = self.topology.source
        return {
            "file": self.topology.file,
            "text": source.text,
            "overrides": dict(source.overrides),
        }


def _write(papers: Mapping[Path, str]) -> None:
    try:
        for file, text in papers.items():
            file.write_text(text)
    except OSError as error:
        problem = f"the change cannot be written down, so it is not made: {error.strerror}"
        raise LabError(problem) from None


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except TopologyError as error:
        raise BadRequest(str(error)) from None
