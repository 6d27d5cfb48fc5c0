"""A capture ends whole, whoever ends it; and takes what it was asked for."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.capture.reading import Counted, Interface, Packet, read
from lab.capture.selection import selected
from lab.errors import BadRequest, LabError
from tests.lab.conftest import Up
from tests.lab.plans import B_ADDRESS, PING, A, B, two_hosts
from tests.lab.traces import kill_keeper

MARKER = b"MARKER of a capture"[:16]
MARKED = [*PING, "-p", MARKER.hex(), B_ADDRESS]
WAY_THERE = ["node-a/eth0", "middle/node-a", "middle/node-b", "node-b/eth0"]


def test_a_packet_is_seen_on_each_interface_on_its_way_in_order(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    with lab.capture(tmp_path / "all.pcapng") as capture:
        lab.run(A, MARKED)
    seen = packets(tmp_path / "all.pcapng")

    assert [packet.interface.name for packet in seen] == WAY_THERE + WAY_THERE[::-1]
    assert [packet.direction for packet in seen] == [2, 1, 2, 1] * 2
    assert [packet.at for packet in seen] == sorted(packet.at for packet in seen)
    assert capture.stop().dropped == 0


def test_times_are_those_of_the_event_log(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    with lab.capture(tmp_path / "all.pcapng"):
        lab.unplug(B)
        lab.plug(B)
        lab.run(A, MARKED)
        lab.unplug(B)
    before, after, last = [each["at"] for each in lab.events() if each["event"] == "link"]
    told = [p.at for p in items(tmp_path / "all.pcapng") if p.interface.name == "lab/events"]

    assert told == [before, after, last]
    assert all(after < packet.at < last for packet in packets(tmp_path / "all.pcapng"))


def test_of_one_host_or_one_link_only_these_interfaces_are_there(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    with (
        lab.capture(tmp_path / "host.pcapng", host="middle"),
        lab.capture(tmp_path / "link.pcapng", link=B),
        lab.capture(tmp_path / "end.pcapng", link=B, host=B),
    ):
        lab.run(A, MARKED)

    assert names(tmp_path / "host.pcapng") == {"middle/lo", "middle/node-a", "middle/node-b"}
    assert names(tmp_path / "link.pcapng") == {"middle/node-b", "node-b/eth0"}
    assert names(tmp_path / "end.pcapng") == {"node-b/eth0"}
    assert len(packets(tmp_path / "link.pcapng")) == 4
    assert len(packets(tmp_path / "end.pcapng")) == 2


def test_when_the_lab_goes_down_the_capture_is_finished(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    capture = lab.capture(tmp_path / "all.pcapng")
    lab.run(A, MARKED)

    lab.down()

    assert capture.wait().packets >= 8
    assert is_finished(tmp_path / "all.pcapng")
    assert len(packets(tmp_path / "all.pcapng")) == 8


def test_when_the_keeper_is_killed_the_capture_is_finished(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    capture = lab.capture(tmp_path / "all.pcapng")
    lab.run(A, MARKED)

    kill_keeper(lab.folder)

    assert capture.wait().packets >= 8
    assert is_finished(tmp_path / "all.pcapng")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_leaves_a_whole_file(
    up: Up, tmp_path: Path, number: signal.Signals
) -> None:
    lab = up(two_hosts())
    argv = [sys.executable, "-m", "invoke", "lab.capture", lab.name, "--out", "made.pcapng"]
    argv[3:3] = ["--search-root", str(Path(__file__).parent.parent.parent)]
    command = subprocess.Popen(
        argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stderr is not None
    assert command.stderr.readline() == "capturing into made.pcapng until Ctrl-C\n"
    lab.run(A, MARKED)

    command.send_signal(number)

    out, _ = command.communicate(timeout=60)
    assert command.returncode == 0
    assert "packets of 7 interfaces in " in out
    assert is_finished(tmp_path / "made.pcapng")
    assert len(packets(tmp_path / "made.pcapng")) == 8


def test_it_ends_by_itself_after_its_seconds(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    capture = lab.capture(tmp_path / "all.pcapng", seconds=0.05)
    assert capture.wait().seconds >= 0.05
    assert is_finished(tmp_path / "all.pcapng")


def test_the_last_bytes_alone_are_kept_and_written_at_the_end(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    with lab.capture(tmp_path / "last.pcapng", last=1000):
        lab.run(A, ["ping", "-n", "-c1", "-p", MARKER.hex(), B_ADDRESS])
        lab.run(A, ["ping", "-n", "-c1", "-p", b"the second one".hex(), B_ADDRESS])
        assert not (tmp_path / "last.pcapng").exists()

    assert packets(tmp_path / "last.pcapng") == []
    assert 1 <= len(packets(tmp_path / "last.pcapng", b"the second one")) <= 6
    assert len(names(tmp_path / "last.pcapng")) == 7  # these are always whole


def test_a_lab_that_is_brought_up_to_be_captured_is_so_from_its_first_event(
    up: Up, tmp_path: Path
) -> None:
    lab = up(two_hosts(), captured=True)
    lab.run(A, MARKED)
    with lab.capture(tmp_path / "all.pcapng"):
        pass  # what was to be seen was before

    assert len(packets(tmp_path / "all.pcapng")) == 8
    told = [p for p in items(tmp_path / "all.pcapng") if p.interface.name == "lab/events"]
    assert [b'"event": "up"' in each.data for each in told] == [True]


@pytest.mark.parametrize(
    ("host", "link", "said"),
    [
        ("nobody", "", "there is no machine nobody in this lab\nit has: middle, node-a, node-b"),
        ("", "nothing", "there is no link nothing in this lab\nit has: node-a, node-b"),
        (B, A, "node-b is no end of the link node-a\nit joins node-a and middle"),
    ],
)
def test_who_asks_for_what_is_not_there_is_told_what_is(host: str, link: str, said: str) -> None:
    with pytest.raises(BadRequest) as error:
        selected(two_hosts(), host, link)
    assert str(error.value) == said


def test_a_file_that_cannot_be_written_is_one_line(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    with pytest.raises(
        BadRequest, match=r"^cannot write .*/none/x\.pcapng: No such file or directory$"
    ):
        lab.capture(tmp_path / "none" / "x.pcapng")


def test_a_disk_that_fills_up_is_one_line(up: Up) -> None:
    lab = up(two_hosts())
    with pytest.raises(LabError, match=r"^cannot write /dev/full: No space left on device$"):
        lab.capture("/dev/full").stop()


def items(file: Path) -> list[Packet]:
    return [item for item in read(file) if isinstance(item, Packet)]


def packets(file: Path, marker: bytes = MARKER) -> list[Packet]:
    return [packet for packet in items(file) if marker in packet.data]


def names(file: Path) -> set[str]:
    found = {item.name for item in read(file) if isinstance(item, Interface)}
    return {name for name in found if not name.startswith("lab/")}


def is_finished(file: Path) -> bool:
    """The last blocks are the interfaces' counters."""
    return isinstance(list(read(file))[-1], Counted)
