"""The first steps of a node: what it takes to speak to its relay, and no more.

Python needs longer to load a whole node than a relay needs to answer. So the netmap is read, the UDP port
and the TUN device are taken, and the home relay is dialled; the rest is loaded in pieces meanwhile,
between what the relay says. The daemon then takes over what is open.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from node.core.relay_events import Event, RelayDown
from node.io.errors import BAD_INPUT, CANNOT_HERE, Refused
from node.io.events import EventLog
from node.io.loop import Loop
from node.io.relay_links import OnEvent, RelayLinks
from node.io.settings import Settings, read_key, read_netmap
from node.io.tun import NoTun, Tun
from node.io.udp import PortTaken, UdpPort

if TYPE_CHECKING:
    from node.io.proxies import Proxies

SHY = 0.005  # seconds: a relay nearby answers within, and no piece is to be between
# In an order in which each brings only some of what the last one needs.
REST = (
    "node.core.noise",
    "node.wire.disco",
    "node.core.device",
    "node.core.paths",
    "node.core.peer_relays",
    "node.core.mesh",
    "node.core.portmap",
    "node.io.traffic",
    "node.io.daemon",
)


class HeadStart:
    def __init__(self, loop: Loop, settings: Settings) -> None:
        """Raises Refused, PortTaken, NoTun; nobody has heard of us then."""
        self.loop, self.settings = loop, settings
        self.netmap = read_netmap(settings.netmap)
        self.private = read_key(settings.key)
        self.events = EventLog(loop, _events_fd(settings.events), self.netmap.name)
        proxies = _proxies(settings)
        self.udp = UdpPort(settings.listen_port)
        self.tun = Tun(settings.tun)
        self._heard: list[tuple[int, str, Event]] = []
        self.links = RelayLinks(
            loop, self.private, settings.ca, self._hear, proxies, settings.websocket
        )
        self.links.regions = self.netmap.regions
        home = self.netmap.home_region
        if home is None or home not in self.netmap.regions:
            home = min(self.netmap.regions, default=None)
        if home is not None:
            self.links.connect(home)

    def load_the_rest(self) -> None:
        rest = iter(REST)

        def load_one() -> None:
            name = next(rest, None)
            if name is None:
                self.loop.stop()
            else:
                import_module(name)
                self.loop.soon(load_one)

        self.loop.at(self.loop.now() + SHY, load_one)
        self.loop.run()

    def hand_over(self, on_event: OnEvent) -> None:
        """What the relay said so far comes now, and the rest when it comes."""
        self.links.on_event = on_event
        for region, server, event in self._heard:
            on_event(region, server, event)

    def _hear(self, region: int, server: str, event: Event) -> None:
        if isinstance(event, RelayDown):  # the daemon will dial again, and be told why not
            self._heard = [each for each in self._heard if each[0] != region]
        else:
            self._heard.append((region, server, event))


def start(settings: Settings) -> int:
    try:
        head = HeadStart(Loop(), settings)
    except Refused as refused:
        print(f"node: {refused}", file=sys.stderr)
        return refused.status
    except (NoTun, PortTaken) as problem:
        print(f"node: {problem}", file=sys.stderr)
        return CANNOT_HERE
    head.load_the_rest()
    gc.freeze()  # what is loaded stays
    gc.enable()
    from node.io.daemon import run

    return run(head)


def _proxies(settings: Settings) -> Proxies | None:
    if settings.proxy is None and not {"HTTPS_PROXY", "https_proxy"} & os.environ.keys():
        return None
    from node.io.proxies import proxies_from  # late: few have one

    try:
        return proxies_from(settings.proxy, os.environ)
    except ValueError as problem:
        where = "HTTPS_PROXY" if settings.proxy is None else "--proxy"
        raise Refused(f"{where}: {problem}", BAD_INPUT) from None


def _events_fd(where: str) -> int:
    if where == "-":
        return 1
    try:
        return os.open(where, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"--events {where}: {error.strerror}", BAD_INPUT) from None
