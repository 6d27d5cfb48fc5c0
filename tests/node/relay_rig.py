"""A relay server and its clients without a socket: bytes in, frames out, the clock in hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from node.core.relay_link import Close, Link, Output, Relay, Send
from node.core.relay_server import RelayServer
from node.keys import NodePrivate, NodePublic
from node.wire import derp, derp_framing
from node.wire.derp_login import ClientDetails, seal
from node.wire.endpoint import Endpoint

REQUEST = b"GET /derp HTTP/1.1\r\nHost: derp.test\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n"
SLOW = REQUEST + b"\r\n"
FAST = REQUEST + b"Derp-Fast-Start: 1\r\n\r\n"
MESH_KEY = bytes(range(32))
DISCO = "TS💬".encode() + bytes(56)


def key(first: int) -> NodePrivate:
    return NodePrivate.from_seed(bytes(range(first, first + 32)))


A, B, C, SERVER = key(0x01), key(0x21), key(0x41), key(0x81)


def fixed_random(size: int) -> bytes:
    return bytes(size)


def client_info(
    private: NodePrivate, details: ClientDetails | None = None, server: NodePublic = SERVER.public
) -> bytes:
    box = seal((details or ClientDetails()).pack(), bytes(24), private, server)
    return derp.ClientInfo(private.public, box).pack()


def send(to: NodePrivate, packet: bytes) -> bytes:
    return derp.SendPacket(to.public, packet).pack()


class Rig:
    def __init__(self, server: RelayServer | None = None, *, lone: bool = True) -> None:
        """Without `lone` every frame takes the long way."""
        self.server = server or RelayServer(SERVER, random=fixed_random)
        self.lone = lone
        self.went_alone = 0
        self.now = 100.0
        self.closed: dict[Link, str] = {}
        self.aside: list[Output] = []
        self._stream: defaultdict[Link, bytes] = defaultdict(bytes)
        self._rest: defaultdict[Link, bytes] = defaultdict(bytes)
        self._ports = iter(range(50_000, 60_000))

    def connect(self, address: str = "192.0.2.7") -> Link:
        return self.server.accept(Endpoint(address, next(self._ports)), self.now)

    def login(self, private: NodePrivate, details: ClientDetails | None = None) -> Link:
        """A fast-start client that is up; what it was sent so far is read."""
        link = self.connect()
        self.feed(link, FAST + client_info(private, details))
        assert [type(frame) for frame in self.frames(link)][:2] == [derp.ServerKey, derp.ServerInfo]
        return link

    def mesh_login(self, private: NodePrivate) -> Link:
        return self.login(private, ClientDetails(mesh_key=MESH_KEY))

    def feed(self, link: Link, data: bytes) -> None:
        """As a socket would: with what was left over from before in front."""
        buffer = bytearray(self._rest[link] + data)
        target = self.server.lone(link, buffer, len(buffer)) if self.lone else None
        if target is not None:
            self.went_alone += 1
            self._rest[link] = b""
            self._stream[target] += buffer
            return
        used, outputs = self.server.receive(link, buffer, len(buffer), self.now)
        assert 0 <= used <= len(buffer)
        self._rest[link] = bytes(buffer[used:])
        self.handle(outputs)

    def handle(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            match output:
                case Send(link, data):
                    self._stream[link] += data
                case Relay(link, runs):
                    self._stream[link] += b"".join(runs)
                case Close(link, why):
                    self.closed[link] = why
                case other:
                    self.aside.append(other)

    def tick(self, now: float) -> None:
        self.now = now
        self.handle(self.server.tick(now))
        assert self.server.deadline is None or self.server.deadline > now

    def hang_up(self, link: Link) -> None:
        self.handle(self.server.lost(link, "hung up", self.now))

    def stream(self, link: Link) -> bytes:
        """All bytes sent to this connection since the last look."""
        return self._stream.pop(link, b"")

    def frames(self, link: Link) -> list[derp.Frame | None]:
        frames = map(bytes, derp_framing.split_frames(self.stream(link)))
        return [derp.parse_frame(frame[0], frame[derp_framing.HEADER_SIZE :]) for frame in frames]
