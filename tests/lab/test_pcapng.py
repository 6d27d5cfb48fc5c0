"""The capture file: what we write, tshark reads, and so do we."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.capture import events, pcapng
from lab.capture.reading import BadCapture, Counted, Interface, Packet, Secrets, parse, read
from lab.capture.repeats import ip_packet

AT = 1234_567_890_123  # nanoseconds, CLOCK_MONOTONIC
WALL = 1_700_000_000  # seconds that the wall clock is ahead
ECHO = ip_packet(b"\xc0\xa8\1\2", b"\xc0\xa8\1\1", (5000, 9), b"marker")


def test_tshark_sees_names_times_directions_and_comments(tmp_path: Path) -> None:
    [packet] = tshark(
        written(tmp_path, pcapng.packet(1, AT, ECHO, 60, pcapng.OUTBOUND, "look here")),
        *("frame.interface_name", "frame.time_epoch", "frame.packet_flags_direction"),
        *("frame.comment", "udp.payload", "frame.len"),
    )

    assert packet["frame.interface_name"] == ["node-a/ts0"]
    assert packet["frame.time_epoch"] == ["1700001234.567890123"]
    assert packet["frame.packet_flags_direction"] == ["0x00000002"]
    assert packet["frame.comment"] == ["look here"]
    assert packet["udp.payload"] == [b"marker".hex()]
    assert packet["frame.len"] == ["60"]


def test_tshark_sees_an_event_as_json(tmp_path: Path) -> None:
    path = {"at": 1.5, "host": "node-a", "event": "path", "peer": "node-b", "kind": "direct"}
    data, comment = events.payload(path), events.comment(path)
    block = pcapng.packet(0, AT, data, len(data), comment=comment)

    [packet] = tshark(written(tmp_path, block), "json.key", "frame.comment")

    assert packet["json.key"] == ["at", "host", "event", "peer", "kind"]
    assert packet["frame.comment"] == ["node-a: the path to node-b is direct from here on"]


def test_we_read_what_we_write(tmp_path: Path) -> None:
    blocks = [
        pcapng.secrets(pcapng.TLS_KEYS, b"CLIENT_RANDOM 00 11\n"),
        pcapng.packet(1, AT, ECHO, 60, pcapng.INBOUND),
        pcapng.statistics(1, AT, 1, 7),
    ]
    events_on, tun, *rest = read(written(tmp_path, *blocks))

    assert events_on == Interface("lab/events", pcapng.UPPER_PDU, 10**9)
    assert isinstance(tun, Interface)
    assert rest == [
        Secrets(pcapng.TLS_KEYS, b"CLIENT_RANDOM 00 11\n"),
        Packet(tun, 1234.567890123, ECHO, 60, pcapng.INBOUND),
        Counted(tun, 1234.567890123, 7),
    ]


def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    file = written(tmp_path, *2 * [pcapng.packet(1, AT, ECHO, len(ECHO))])
    whole = file.read_bytes()

    assert len([p for p in parse(whole) if isinstance(p, Packet)]) == 2
    assert len([p for p in parse(whole[:-5]) if isinstance(p, Packet)]) == 1


def test_others_byte_order_and_clocks_are_read(tmp_path: Path) -> None:
    swapped = bytes.fromhex(
        "0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c"
        "00000001 00000014 0065 0000 00000000 00000014"
        "00000006 00000024 00000000 00000000 001e8480 00000004 00000004 deadbeef 00000024"
    )
    [interface, packet] = parse(swapped)

    assert interface == Interface("", pcapng.RAW_IP, 10**6)
    assert isinstance(packet, Packet)
    assert (packet.at, packet.data) == (2.0, b"\xde\xad\xbe\xef")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a pcapng"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "is not a pcapng"),
        (pcapng.section("") + bytes(12), "a block of 0 bytes"),
        (pcapng.section("") + pcapng.packet(3, AT, ECHO, 60), "is a broken pcapng"),
    ],
)
def test_what_is_no_capture_is_said_to_be_none(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.pcapng").write_bytes(content)
    with pytest.raises(BadCapture, match=said):
        list(read(tmp_path / "bad.pcapng"))


def test_a_file_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with pytest.raises(BadCapture, match=r"cannot read .*none\.pcapng: No such file"):
        list(read(tmp_path / "none.pcapng"))


def written(folder: Path, *blocks: bytes) -> Path:
    """A capture with an interface for events, and one for IP."""
    file = folder / "made.pcapng"
    head = [
        pcapng.section("made for a test"),
        pcapng.interface("lab/events", "events", pcapng.UPPER_PDU, WALL),
        pcapng.interface("node-a/ts0", "ts0 of node-a", pcapng.RAW_IP, WALL),
    ]
    file.write_bytes(b"".join([*head, *blocks]))
    return file


def tshark(file: Path, *fields: str) -> list[dict[str, Any]]:
    argv = ["tshark", "-r", str(file), "-T", "json"]
    for field in fields:
        argv += ["-e", field]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
