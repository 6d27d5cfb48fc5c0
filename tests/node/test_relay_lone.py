"""A lone frame that takes the way of the one before it: the same relay, only sooner."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.core.rate_limit import RateLimit
from node.core.relay_link import Link
from node.wire import derp
from node.wire.derp_framing import pack_frame
from tests.node.relay_rig import DISCO, A, B, C, Rig, send

KEYS = (A, B, C)
UNKNOWN = pack_frame(0x7F, send(B, b"not a frame of its own"))
PACKETS = (b"", b"one", b"two", DISCO, bytes(1400))

keys = st.sampled_from(range(len(KEYS)))
frames = st.one_of(
    st.builds(send, st.sampled_from(KEYS), st.sampled_from(PACKETS)),
    st.sampled_from((UNKNOWN, derp.Ping(bytes(8)).pack(), b"\x04\xff")),
)
events = st.one_of(
    st.tuples(st.just("come"), keys),
    st.tuples(st.just("go"), st.integers(0, 9)),
    st.tuples(st.just("say"), st.integers(0, 9), frames, st.integers(1, 50)),
    st.tuples(st.just("repeat"), st.integers(0, 9), keys, st.integers(1, 4)),
)


class Life:
    """One relay, to which things happen; its connections in the order they came."""

    def __init__(self, lone: bool) -> None:
        self.rig = Rig(lone=lone)
        self.links: list[Link] = [self.rig.login(each) for each in KEYS]

    def live(self, event: tuple[object, ...]) -> None:
        match event:
            case ("come", int(which)):
                self.links.append(self.rig.login(KEYS[which]))
            case ("go", int(which)):
                self.rig.hang_up(self.links[which % len(self.links)])
            case ("say", int(which), bytes(frame), int(piece)):
                link = self.links[which % len(self.links)]
                self.rig.feed(link, frame[:-piece])
                self.rig.feed(link, frame[-piece:])
            case ("repeat", int(which), int(to), int(times)):
                for _ in range(times):
                    self.rig.feed(self.links[which % len(self.links)], send(KEYS[to], b"again"))

    def seen(self) -> object:
        server = self.rig.server
        streams = [self.rig.stream(link) for link in self.links]
        closed = [self.rig.closed.get(link) for link in self.links]
        return streams, closed, dict(server.counters), server.metrics()


@given(st.lists(events, max_size=30))
def test_whatever_happens_each_connection_is_sent_the_same_bytes(
    history: list[tuple[object, ...]],
) -> None:
    short, long = Life(lone=True), Life(lone=False)
    for event in history:
        short.live(event)
        long.live(event)
        assert short.seen() == long.seen()


def test_the_second_of_two_like_frames_goes_alone() -> None:
    rig = Rig()
    a, b = rig.login(A), rig.login(B)
    for _ in range(3):
        rig.feed(a, send(B, b"ping"))
    assert rig.went_alone == 2
    assert rig.frames(b) == [derp.RecvPacket(A.public, b"ping")] * 3


def test_a_new_connection_of_the_key_is_a_new_way() -> None:
    rig = Rig()
    a, old = rig.login(A), rig.login(B)
    rig.feed(a, send(B, b"ping"))
    rig.feed(a, send(B, b"ping"))
    new = rig.login(B)
    rig.feed(a, send(B, b"ping"))
    assert rig.went_alone == 1
    assert (len(rig.frames(old)), len(rig.frames(new))) == (2, 1)


def test_a_connection_that_speaks_up_is_a_new_way() -> None:
    rig = Rig()
    a, old, new = rig.login(A), rig.login(B), rig.login(B)
    rig.feed(a, send(B, b"ping"))
    rig.feed(old, send(A, b"here"))
    rig.feed(a, send(B, b"ping"))
    assert (len(rig.frames(old)), len(rig.frames(new))) == (1, 1)


def test_one_that_has_left_gets_nothing_and_its_sender_is_told() -> None:
    rig = Rig()
    a, b = rig.login(A), rig.login(B)
    rig.feed(a, send(B, DISCO))
    rig.hang_up(b)
    rig.feed(a, send(B, DISCO))
    assert rig.frames(a)[-1] == derp.PeerGone(B.public, derp.GoneReason.NOT_HERE)
    assert len(rig.frames(b)) == 1


def test_what_only_looks_like_one_inside_an_unknown_frame_is_skipped() -> None:
    rig = Rig()
    a, b = rig.login(A), rig.login(B)
    ping = send(B, b"ping")
    unknown = pack_frame(0x7F, ping)
    rig.feed(a, ping)
    rig.feed(a, unknown[: -len(ping)])
    rig.feed(a, ping)
    assert len(rig.frames(b)) == 1


def test_none_goes_past_a_rate_limit() -> None:
    rig = Rig()
    a, _ = rig.login(A), rig.login(B)
    rig.feed(a, send(B, b"ping"))
    rig.server.rate_limit = RateLimit(1000, 1000)
    rig.feed(a, send(B, b"ping"))
    assert rig.went_alone == 0
