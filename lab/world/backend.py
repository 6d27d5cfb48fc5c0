"""What this kernel bends links with: each way tried once, in a namespace that is gone afterwards."""

from __future__ import annotations

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
_KERNEL = "lab.doctor says what this kernel can do"
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

    @property
    def to_queue(self) -> Queue:
        return _QUEUES[self.queue or "nf_tables queue"]

    def serves(self, quality: LinkQuality) -> list[str]:
        """The means for what this link does: `["delay: NFQUEUE", "rate: tbf"]`."""
        shapes = (quality.up, quality.down)
        bursts = any(shape.burst > 1 for shape in shapes)
        means = {
            "delay": "netem" if self.netem else "NFQUEUE",
            "loss": "NFQUEUE" if bursts else "nf_tables",
            "rate": "tbf",
            "duplicate": "nf_tables",
        }
        return [
            f"{name}: {mean}"
            for name, mean in means.items()
            if any(getattr(shape, name) != getattr(CLEAN, name) for shape in shapes)
        ]

    def check(self, link: str, shape: Shape) -> None:
        """Raises CannotHere for what nothing here can do."""
        lacks = (
            (shape.delay and not (self.netem or self.queue), "a delay", "netem or NFQUEUE"),
            (shape.burst > 1 and not self.queue, "losses in bursts", "NFQUEUE"),
            (shape.loss and not (self.losses or shape.burst > 1), "losses", "nf_tables at ingress"),
            (shape.rate and not self.tbf, "a rate", "tbf"),
            (shape.duplicate and not self.copies, "duplicates", "nf_tables at egress"),
        )
        for lacking, what, needs in lacks:
            if lacking:
                raise CannotHere(f"{link}: {what} needs {needs}, which this kernel lacks", _KERNEL)


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
    )


def _waiting() -> Bends:
    return Bends(waits=[Wait("lo", 0, CLEAN)])


def _loads(bends: Bends, queue: Queue = nf.queue) -> bool:
    return _works(lambda: nf.replace(tables(bends, {"lo": _LO}, {}, queue), "a trial"))


def _works(trial: Callable[[], None]) -> bool:
    try:
        trial()
    except (NetlinkError, OSError):
        return False
    return True
