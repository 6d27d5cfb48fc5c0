"""What Wireshark makes of a captured upgrade, with nothing but the file: names, keys, comments, the inside.

One lab for all of these: captured from its first packet on, while the path moves from relay to direct.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.judge.evidence import evidence
from lab.judge.recording import recorded
from lab.pytest_plugin import Net, StartLab
from tests.e2e.pairs import BACK, history, reaches

pytestmark = pytest.mark.xdist_group("capture")

ROOT = Path(__file__).parents[2]
DISCO_MAGIC = b"TS\xf0\x9f\x92\xac"
DERP_MAGIC = b"DERP\xf0\x9f\x94\x91"  # how a relay greets
MARKER = b"MARKER inside it"
LINKS = {  # every interface on the way of a direct packet, but the tunnel's own
    *("node-a/eth0", "home-a/node-a", "home-a/lan0", "home-a/wan0"),
    *("carrier-a/home-a", "carrier-a/lan0", "carrier-a/wan0", "internet/carrier-a"),
    *("node-b/eth0", "home-b/node-b", "home-b/lan0", "home-b/wan0"),
    *("carrier-b/home-b", "carrier-b/lan0", "carrier-b/wan0", "internet/carrier-b"),
}
Frames = list[dict[str, list[str]]]


@pytest.fixture(scope="module")
def upgrade(module_lab: StartLab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Net, Path]:
    file = tmp_path_factory.mktemp("capture") / "upgrade.pcapng"
    net = module_lab("double-nat", captured=True)
    a, b = net.node("node-a"), net.node("node-b")
    with net.capture(file) as capture:
        stream = a.stream(b, count=100, interval=0.01, payload=MARKER.decode())
        for one, other in ((a, b), (b, a)):
            one.wait_for_path(other, "direct", within=BACK)
        afterwards = a.stream(b, count=20, interval=0.01, payload=MARKER.decode()).finish()
        before = stream.finish()
    assert (before.lost + afterwards.lost, capture.stop().dropped) == (0, 0)
    assert history(a, b, before) == ["relay", "direct"]
    return net, file


def test_every_interface_of_every_machine_has_its_name(upgrade: tuple[Net, Path]) -> None:
    net, file = upgrade
    about = subprocess.run(["capinfos", file], capture_output=True, text=True, check=True).stdout
    named = {line.split(" = ")[1] for line in about.splitlines() if " Name = " in line}
    planned = {
        f"{machine.name}/{interface.name}"
        for machine in net.lab.plan().machines
        for interface in machine.interfaces
    }
    assert planned <= named
    assert {"node-a/ts0", "nyc/lo", "lab/events"} <= named


def test_wireshark_opens_the_tunnel_on_every_link(upgrade: tuple[Net, Path]) -> None:
    _, file = upgrade
    opened = frames(file, "wg.type == 4 && icmp", "frame.interface_name", "data.data")
    all_data = frames(file, "wg.type == 4", "frame.interface_name", "ip.proto")

    assert {frame["frame.interface_name"][0] for frame in opened} == LINKS
    assert all(bytes.fromhex(frame["data.data"][0]).startswith(MARKER) for frame in opened)
    assert [frame for frame in all_data if len(frame["ip.proto"]) != 2] == []  # UDP, and inside it


def test_wireshark_opens_what_goes_to_the_relay(upgrade: tuple[Net, Path]) -> None:
    _, file = upgrade
    # A TCP segment that is seen on several interfaces is dissected on the first of them.
    requests = frames(file, 'http.request.uri == "/derp"', "frame.interface_name", "http.upgrade")
    greetings = frames(file, f"data.data contains {DERP_MAGIC.hex(':')}", "frame.interface_name")

    uplinks = {"node-a/eth0", "home-a/wan0", "carrier-a/wan0"}
    uplinks |= {name.replace("-a", "-b") for name in uplinks}
    assert {each["frame.interface_name"][0] for each in requests} == uplinks
    assert all(each["http.upgrade"] == ["DERP"] for each in requests)
    assert "nyc/eth0" in {each["frame.interface_name"][0] for each in greetings}


def test_path_changes_are_commented_where_they_happen(upgrade: tuple[Net, Path]) -> None:
    net, file = upgrade
    told = frames(file, 'frame.comment contains "the path to"', "frame.comment", "frame.time_epoch")
    changes = net.events("node-a", "path") + net.events("node-b", "path")
    changes = sorted(changes, key=lambda event: float(event["at"]))[: len(told)]

    assert len(told) >= 4  # what happened later is not in the capture
    assert [each["frame.comment"][0].split(" from here on")[0] for each in told] == [
        f"{one['host']}: the path to {one['peer']} is {one['kind']}" for one in changes
    ]
    # One clock: what tshark calls the time is `at` and a whole number of seconds.
    apart = [
        float(each["frame.time_epoch"][0]) - one["at"]
        for each, one in zip(told, changes, strict=True)
    ]
    assert [round(each, 3) for each in apart] == [round(apart[0])] * len(apart)


def test_disco_goes_over_udp_and_handshakes_are_repeated_beside_the_packets(
    upgrade: tuple[Net, Path],
) -> None:
    _, file = upgrade
    disco = frames(file, f"udp.payload[0:6] == {DISCO_MAGIC.hex(':')}", "frame.interface_name")
    initiations = frames(file, "wg.type == 1", "frame.interface_name")

    assert {frame["frame.interface_name"][0] for frame in disco} >= LINKS
    assert {frame["frame.interface_name"][0] for frame in initiations} == {"lab/handshakes"}


def test_without_its_keys_the_same_capture_stays_closed(upgrade: tuple[Net, Path]) -> None:
    _, file = upgrade
    closed = file.with_name("closed.pcapng")
    subprocess.run(["editcap", "--discard-all-secrets", file, closed], check=True)

    assert frames(closed, "wg.type == 4", "frame.number") != []
    assert frames(closed, "wg.type == 4 && icmp", "frame.number") == []
    assert frames(closed, 'http.request.uri == "/derp"', "frame.number") == []


@pytest.mark.scenario(1)
def test_the_evidence_of_an_upgrade_says_how_it_came_about_and_that_nothing_was_lost(
    upgrade: tuple[Net, Path],
) -> None:
    _, file = upgrade
    proven = evidence(recorded(file))

    there, back = proven.flows
    assert (there.source, there.target, there.counts.sent) == ("node-a", "node-b", 120)
    assert (there.counts.lost, back.counts.lost) == (0, 0)
    assert (there.counts.duplicated, back.counts.duplicated) == (0, 0)
    assert set(there.routes) == set(back.routes) == {"relay", "direct"}
    [told] = proven.upgrades
    steps = [step.what.partition(",")[0] for step in told.steps if step.source == "node-a"]
    assert (
        steps.index("first packet") < steps.index("first ping") < steps.index("first direct packet")
    )
    assert [step.what for step in told.steps].count("first pong, from 203.0.113.20:41641") == 1


@pytest.mark.scenario(91)
def test_what_went_through_the_tunnel_is_on_no_link_and_a_plain_ping_is(
    upgrade: tuple[Net, Path], tmp_path: Path
) -> None:
    net, file = upgrade
    sealed = evidence(recorded(file), [MARKER]).plaintext
    with net.capture(tmp_path / "plain.pcapng"):
        net.run("node-a", "ping", "-c1", "-p", MARKER.hex(), "nyc.derp.example")
    plain = evidence(recorded(tmp_path / "plain.pcapng"), [MARKER]).plaintext

    assert (sealed.found_on_links, set(sealed.found_in_tunnels)) == (
        {},
        {"node-a/ts0", "node-b/ts0"},
    )
    assert sealed.is_proof
    assert {"node-a/eth0", "home-a/wan0", "nyc/eth0"} <= set(plain.found_on_links)
    assert plain.found_in_tunnels == {}


def test_a_command_is_captured_for_as_long_as_it_runs_and_its_evidence_is_told(
    upgrade: tuple[Net, Path], tmp_path: Path
) -> None:
    net, _ = upgrade
    ping = ["lab.exec", net.lab.name, "node-a", "--", "ping", "-c1", "100.64.2.20"]
    out = ["--out", str(tmp_path / "pings.pcapng"), "--", sys.executable, "-m", "invoke"]

    taken = invoke("lab.capture", net.lab.name, *out, *ping)
    told = invoke("lab.evidence", str(tmp_path / "pings.pcapng"))
    failed = invoke("lab.capture", net.lab.name, *out[:3], "sh", "-c", "exit 3")

    assert taken.returncode == 0
    assert "1 packets transmitted, 1 received" in taken.stdout
    assert told.returncode == 0
    assert "node-a -> node-b  1 sent, 0 lost, 0 duplicated, 0 reordered" in told.stdout
    assert "outside the tunnels: not found; in the tunnels, for control: node-a/ts0" in told.stdout
    assert failed.returncode == 3


def test_evidence_is_diagrams_for_documents_and_one_document_for_programs(
    upgrade: tuple[Net, Path],
) -> None:
    _, file = upgrade

    drawn = invoke("lab.evidence", str(file), "--mermaid")
    document = json.loads(invoke("lab.evidence", str(file), "--json").stdout)

    assert drawn.stdout.startswith("sequenceDiagram\n")
    assert drawn.stdout.count("sequenceDiagram") == 1  # of the one upgrade
    assert "first direct packet" in drawn.stdout
    assert [flow["counts"]["lost"] for flow in document["flows"]] == [0, 0]
    assert [each["source"] for each in document["flows"]] == ["node-a", "node-b"]


def test_plaintext_on_a_link_is_a_failure(upgrade: tuple[Net, Path]) -> None:
    _, file = upgrade
    told = invoke("lab.evidence", str(file), "--find", "Upgrade: DERP", "--find", "M-SEARCH")

    assert told.returncode == 1
    assert "node-a/eth0 (" in told.stdout
    assert "in the tunnels, for control: not found, so this proves nothing" in told.stdout


def test_on_a_link_that_loses_the_evidence_counts_just_what_was_lost(
    upgrade: tuple[Net, Path], tmp_path: Path
) -> None:
    net, _ = upgrade
    a, b = net.node("node-a"), net.node("node-b")
    reaches(a, b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)
    # Without a relay, through which copies of what was mirrored may come when nobody listens any more.
    with net.without_relays(), net.capture(tmp_path / "lossy.pcapng") as capture:
        net.lab.link("home-b", loss="20%")
        echoes = a.stream(b, count=100, interval=0.01).finish()
        net.lab.link("home-b", clean=True)
    there, back = evidence(recorded(tmp_path / "lossy.pcapng")).flows

    assert capture.stop().dropped == 0
    assert there.counts.sent == 100
    assert there.counts.lost > 0
    assert there.counts.lost + back.counts.lost == echoes.lost


def invoke(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "invoke", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)


def frames(file: Path, words: str, *fields: str) -> Frames:
    """What tshark shows of the frames that a display filter picks: each field's values."""
    argv = ["tshark", "-r", str(file), "-Y", words, "-T", "json"]
    for field in fields:
        argv += ["-e", field]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return [frame["_source"]["layers"] for frame in found]
