"""What a TUN interface takes and gives, as the kernel has granted it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from node.core.superpacket import TCP

if TYPE_CHECKING:
    from node.core.flow import Head


class TunFeatures(NamedTuple):
    """What the TUN interface takes: a virtio header at all, and which super-packets."""

    virtio: bool = True
    tcp: bool = True
    udp: bool = True

    def merges(self, head: Head) -> bool:
        return self.virtio and (self.tcp if head.protocol == TCP else self.udp)


NO_OFFLOAD = TunFeatures(virtio=False, tcp=False, udp=False)
