"""The bends of one machine as nf_tables: copies, losses, black holes and waits.

Two tables of the lab's own beside whatever the machine's rules are. Waits come before conntrack, or packets
of one flow would take different mappings while the first is still held. They do not concern ARP, which has
to find its neighbour at once. A packet may wait twice: for the link of a neighbour on the same bridge, and
for the machine's own; so these are two chains, since after a wait a packet goes on with the next chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.world import netfilter as nf
from lab.world.bends import Bends, End

NAME = "punchlab"
_BEFORE_CONNTRACK = -320  # after defragmentation (-400), before raw (-300) and conntrack (-200)
_AFTER_NEIGHBOURS = -310
_FILTER = 0
_LAST = 300
_COPIED = 0x70756E63  # marks a copy and its original, which are not copied again

Queue = Callable[[int], bytes]


def tables(
    bends: Bends, indexes: Mapping[str, int], macs: Mapping[End, bytes], queue: Queue
) -> list[nf.Table]:
    """None, one or both."""
    at_wires = [
        *(_copies(device, indexes[device], chance) for device, chance in bends.copies.items()),
        *(_losses(device, indexes[device], chance) for device, chance in bends.losses.items()),
        *(_black_hole(device, indexes[device]) for device in sorted(bends.black_holes)),
    ]
    of_neighbours, arriving, leaving = [], [], []
    for wait in bends.waits:
        if wait.sender is not None:
            whose = nf.sent_by(macs[wait.sender])
            of_neighbours.append((nf.from_device(wait.device), whose, queue(wait.number)))
        elif wait.leaves:
            leaving.append((nf.to_device(wait.device), queue(wait.number)))
        else:
            arriving.append((nf.from_device(wait.device), queue(wait.number)))
    chains = [
        nf.Chain("neighbours", nf.PREROUTING, _BEFORE_CONNTRACK, tuple(of_neighbours)),
        nf.Chain("arriving", nf.PREROUTING, _AFTER_NEIGHBOURS, tuple(arriving)),
        nf.Chain("leaving", nf.POSTROUTING, _LAST, tuple(leaving)),
    ]
    both = (
        nf.Table(nf.NETDEV, NAME, tuple(at_wires)),
        nf.Table(nf.INET, NAME, tuple(chain for chain in chains if chain.rules)),
    )
    return [table for table in both if table.chains]


def _copies(device: str, index: int, chance: float) -> nf.Chain:
    once = (nf.marked(_COPIED), nf.accept())
    rules = [
        (nf.protocol(kind), nf.by_chance(chance), nf.mark(_COPIED), nf.copy_to(index), nf.accept())
        for kind in (nf.IPV4, nf.IPV6)
    ]
    return nf.Chain(f"copies{index}", nf.EGRESS, _FILTER, (once, *rules), device)


def _losses(device: str, index: int, chance: float) -> nf.Chain:
    rules = [(nf.protocol(kind), nf.by_chance(chance), nf.drop()) for kind in (nf.IPV4, nf.IPV6)]
    return nf.Chain(f"losses{index}", nf.INGRESS, _FILTER, tuple(rules), device)


def _black_hole(device: str, index: int) -> nf.Chain:
    rules = [(nf.protocol(nf.IPV4), nf.is_icmp_error(kind), nf.drop()) for kind in nf.ERRORS]
    all_rules = (*rules, (nf.is_icmp6_error(), nf.drop()))
    return nf.Chain(f"blackhole{index}", nf.INGRESS, _FILTER, all_rules, device)
