"""What this kernel bends links with: each way tried once, in a namespace that is gone afterwards.

    python -m lab.world.backend

says it in one line, and fails if something can be done by nothing here. It makes its own namespace.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.errors import CannotHere
from lab.model.link import CLEAN, LinkQuality, Shape
from lab.world import netfilter as nf
from lab.world import qdisc
from lab.world.bends import Bends, Wait
from lab.world.kernel import CLONE_NEWNET, unshare
from lab.world.linkrules import Queue, tables
from lab.world.netlink import NetlinkError, Rtnetlink

_LO = 1
_TAKES = {
    "delay": "sch_netem or nfnetlink_queue",
    "loss": "nf_tables with nft_numgen at ingress",
    "burst": "nfnetlink_queue",
    "rate": "sch_tbf",
    "duplicate": "nf_tables with nft_dup_netdev at egress",
    "icmp": "nf_tables at ingress",
}
_QUEUES: Mapping[str, Queue] = {
    "nf_tables queue": nf.queue,
    "xtables NFQUEUE": nf.queue_by_xtables,
}


@dataclass(frozen=True, slots=True)
class Backend:
    netem: bool
    tbf: bool
    queue: str | None  # how a packet gets into an NFQUEUE
    losses: bool
    copies: bool
    black_holes: bool

    @property
    def to_queue(self) -> Queue:
        return _QUEUES[self.queue or "nf_tables queue"]

    @property
    def means(self) -> dict[str, str | None]:
        """What makes what; None where nothing can."""
        queue = "NFQUEUE" if self.queue else None
        return {
            "delay": "netem" if self.netem else queue,
            "loss": "nf_tables" if self.losses else None,
            "burst": queue,
            "rate": "tbf" if self.tbf else None,
            "duplicate": "nf_tables" if self.copies else None,
            "icmp": "nf_tables" if self.black_holes else None,
        }

    def serves(self, quality: LinkQuality) -> list[str]:
        """The means for what this link does: `["delay: NFQUEUE", "rate: tbf"]`."""
        needs = _needs(quality.up) | _needs(quality.down)
        return [f"{name}: {mean}" for name, mean in self.means.items() if name in needs]

    def check(self, link: str, shape: Shape) -> None:
        """Raises CannotHere for what nothing here can do."""
        for name, mean in self.means.items():
            if mean is None and name in _needs(shape):
                what = "black hole of ICMP errors" if name == "icmp" else name
                problem = f"{link}: this kernel has nothing that makes a {what}"
                raise CannotHere(problem, f"it takes {_TAKES[name]}; lab.doctor says what is there")


def _needs(shape: Shape) -> set[str]:
    needs = {name for name in _TAKES if getattr(shape, name) != getattr(CLEAN, name)}
    return needs - {"loss"} if "burst" in needs else needs


def look() -> Backend:
    """Moves the calling thread into a new network namespace to try things there."""
    unshare(CLONE_NEWNET)
    rtnetlink = Rtnetlink()
    rate, delay = qdisc.Egress(rate=10**6), qdisc.Egress(delay=0.001)

    def has(wanted: qdisc.Egress) -> bool:
        there = list(qdisc.change("", "lo", _LO, qdisc.NOTHING, wanted))
        gone = list(qdisc.change("", "lo", _LO, wanted, qdisc.NOTHING))
        return _works(lambda: rtnetlink.send([*there, *gone]))

    return Backend(
        netem=has(delay),
        tbf=has(rate),
        queue=next((name for name in _QUEUES if _loads(_waiting(), _QUEUES[name])), None),
        losses=_loads(Bends(losses={"lo": 0.5})),
        copies=_loads(Bends(copies={"lo": 0.5})),
        black_holes=_loads(Bends(black_holes={"lo"})),
    )


def _waiting() -> Bends:
    return Bends(waits=[Wait("lo", 0, CLEAN)])


def _loads(bends: Bends, queue: Queue = nf.queue) -> bool:
    trial = tables(bends, {"lo": _LO}, {}, queue)
    return _works(lambda: nf.replace([], trial, "a trial")) and _works(
        lambda: nf.replace(trial, [], "its end")
    )


def _works(trial: Callable[[], None]) -> bool:
    try:
        trial()
    except (NetlinkError, OSError):
        return False
    return True


def main() -> None:
    means = look().means
    print(", ".join(f"{name}: {mean}" for name, mean in means.items() if mean))
    if lacks := [name for name, mean in means.items() if mean is None]:
        sys.exit(f"nothing makes {', '.join(f'{name} ({_TAKES[name]})' for name in lacks)}")


if __name__ == "__main__":
    main()
