"""The queue of a slow reader: never half a frame, never more than 32, the oldest goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.core.relay_outbox import TLS_RECORD, Outbox
from node.keys import NodePublic
from node.wire import derp, derp_framing

SOURCE = NodePublic(bytes(range(32)))
DISCO = "TS💬".encode() + bytes(56)


def frame(packet: bytes) -> bytes:
    return derp.RecvPacket(SOURCE, packet).pack()


def numbered(count: int, head: bytes = b"") -> list[bytes]:
    return [frame(head + bytes([number])) for number in range(count)]


def everything(outbox: Outbox) -> list[bytes]:
    """All that waits, written to a socket that takes what it is given."""
    stream = b""
    while chunk := outbox.chunk():
        stream += chunk
        outbox.sent(len(chunk))
    return [bytes(one) for one in derp_framing.split_frames(stream)]


def test_what_waits_leaves_in_order() -> None:
    outbox = Outbox()
    assert outbox.empty
    outbox.push(b"".join(numbered(3)))
    assert not outbox.empty
    assert everything(outbox) == numbered(3)
    assert outbox.empty
    assert outbox.drops is None


def test_the_33rd_packet_pushes_out_the_first() -> None:
    outbox = Outbox()
    outbox.push(b"".join(numbered(34)))
    assert everything(outbox) == numbered(34)[2:]
    assert outbox.drops is not None
    assert outbox.drops.packets == {("queue_head", "other"): 2}


def test_disco_has_a_queue_of_its_own_and_goes_first() -> None:
    outbox = Outbox()
    outbox.push(b"".join(numbered(40)))
    outbox.push(frame(DISCO))
    assert everything(outbox) == [frame(DISCO), *numbered(40)[8:]]
    outbox.push(b"".join(numbered(33, DISCO)))
    assert everything(outbox) == numbered(33, DISCO)[1:]
    assert outbox.drops is not None
    assert outbox.drops.packets == {("queue_head", "other"): 8, ("queue_head", "disco"): 1}


def test_control_frames_are_never_dropped() -> None:
    outbox = Outbox()
    for _ in range(100):
        outbox.put(derp.KeepAlive().pack())
    assert everything(outbox) == [derp.KeepAlive().pack()] * 100


def test_a_frame_begun_is_finished_before_anything_else() -> None:
    outbox = Outbox()
    big = [frame(bytes([number]) * 30_000) for number in range(4)]
    outbox.hold(b"".join(big), sent=100, now=1.0)
    outbox.put(derp.KeepAlive().pack())
    begun = bytes(outbox.chunk())
    assert begun == big[0][100:]
    assert bytes(outbox.chunk()) == begun, "TLS wants the same bytes again"
    outbox.sent(len(begun))
    assert everything(outbox) == [derp.KeepAlive().pack(), *big[1:]]


def test_tls_may_have_sealed_one_record_that_can_no_longer_be_dropped() -> None:
    outbox = Outbox()
    frames = [frame(bytes([number]) * 1000) for number in range(40)]
    outbox.hold(b"".join(frames), sent=0, now=1.0)
    begun = outbox.chunk()
    assert len(begun) >= TLS_RECORD
    assert len(begun) < TLS_RECORD + len(frames[0])


def test_the_write_timeout_runs_from_the_last_byte_taken() -> None:
    outbox = Outbox()
    assert outbox.deadline is None
    outbox.hold(frame(bytes(100)), sent=10, now=5.0)
    assert outbox.deadline == 7.0
    outbox.blocked(6.0)
    assert outbox.deadline == 7.0
    outbox.sent(1)
    assert outbox.deadline is None
    outbox.blocked(6.5)
    assert outbox.deadline == 8.5


def test_what_a_reader_leaves_behind_is_counted() -> None:
    outbox = Outbox()
    outbox.push(b"".join(numbered(3)) + frame(DISCO))
    outbox.drain("gone_disconnected")
    assert outbox.empty
    assert outbox.drops is not None
    assert outbox.drops.packets == {
        ("gone_disconnected", "other"): 3,
        ("gone_disconnected", "disco"): 1,
    }


@given(
    st.lists(st.tuples(st.sampled_from([1, 61, 62, 1420, 40_000]), st.booleans()), max_size=50),
    st.lists(st.integers(0, 70_000), max_size=20),
    st.integers(0, 3000),
)
def test_whatever_a_socket_takes_the_stream_stays_one_of_whole_frames(
    packets: list[tuple[int, bool]], takes: list[int], first: int
) -> None:
    frames = [frame((DISCO + bytes(size))[:size] if d else bytes(size)) for size, d in packets]
    joined = b"".join(frames)
    first = min(first, len(joined))
    outbox, stream = Outbox(), joined[:first]
    if first < len(joined):
        outbox.hold(joined, first, now=0.0)
    for take in takes:
        chunk = bytes(outbox.chunk())
        stream += chunk[:take]
        outbox.sent(len(chunk[:take]))
        outbox.push(frame(b"new"))
    while chunk := bytes(outbox.chunk()):
        stream += chunk
        outbox.sent(len(chunk))
    arrived = [bytes(one) for one in derp_framing.split_frames(stream)]
    assert set(arrived) <= {*frames, frame(b"new")}
    dropped = 0 if outbox.drops is None else outbox.drops.packets.total()
    assert len(arrived) + dropped == len(frames) + len(takes)
