"""The commands: what is refused in one line, keys, and the questions to a running node."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from node.__main__ import main
from node.io import ask
from node.io.loop import Loop
from node.io.udp import PortTaken, UdpPort
from node.keys import NodePrivate
from node.wire.endpoint import Endpoint
from tests.node.running_relay import PATIENCE
from tests.node.test_netmap import NETMAP

KEY = NodePrivate.from_seed(bytes(range(1, 33)))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "netmap.json").write_text(json.dumps(NETMAP))
    (tmp_path / "node.key").write_text(KEY.to_file_text())
    (tmp_path / "node.key").chmod(0o600)
    return tmp_path


def up(files: Path, *more: str) -> int:
    netmap, key = str(files / "netmap.json"), str(files / "node.key")
    return main(["up", "--netmap", netmap, "--key", key, "--tun", "ts0", *more])


# --- what cannot be started says why, in one line ---


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    return line


def test_a_bad_netmap_is_named_with_its_place(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "netmap.json").write_text('{"name": 7}')
    assert up(files) == 2
    path = files / "netmap.json"
    assert one_line(capsys) == f"node: {path}: netmap: name: expected a text, not a number"


def test_a_missing_netmap_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "netmap.json").unlink()
    assert up(files) == 2
    assert one_line(capsys) == f"node: {files / 'netmap.json'}: No such file or directory"


@pytest.mark.parametrize("text", ["", "secret", "nodekey:" + "00" * 32, "privkey:00"])
def test_a_bad_key_is_refused_and_never_shown(
    files: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (files / "node.key").write_text(text)
    assert up(files) == 2
    key = files / "node.key"
    assert one_line(capsys) == f"node: key {key}: expected 'privkey:' and 64 hex digits"


def test_a_key_that_others_may_read_is_remarked_on(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "node.key").chmod(0o644)
    (files / "netmap.json").write_text(json.dumps(NETMAP))
    assert up(files, "--events", "/nowhere/events") == 2
    key = files / "node.key"
    assert capsys.readouterr().err.splitlines() == [
        f"node: key {key}: others may read it (mode 0644)",
        "node: --events /nowhere/events: No such file or directory",
    ]


def test_a_port_in_use_is_the_machines_trouble(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        port = taken.getsockname()[1]
        assert up(files, "--listen-port", str(port)) == 3
    assert one_line(capsys) == f"node: UDP port {port}: Address already in use"


def test_a_name_that_is_no_interface_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up(files, "--listen-port", "0", "--tun", "much-too-long-a-name") == 3
    assert "is no interface name" in one_line(capsys)


def test_an_unknown_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly"]) == 2
    assert "no command 'fly'" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "netcheck" in capsys.readouterr().out


def test_a_proxy_that_is_none_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert up(files, "--proxy", "socks://localhost") == 2
    assert one_line(capsys).startswith("node: --proxy: socks:// is not a kind of proxy")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:http")
    assert up(files) == 2
    assert one_line(capsys) == "node: HTTPS_PROXY: not http://HOST:PORT"


@pytest.mark.parametrize("text", ["203.0.113.9", "nowhere:1", "203.0.113.9:70000"])
def test_an_endpoint_that_is_none_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        up(files, "--endpoint", text)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"argument --endpoint: '{text}' is not ADDRESS:PORT")


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--listen-port", "70000", "is not a port, 0 to 65535"),
        ("--port-mapping", "-1", "is not a number of seconds"),
        ("--rekey-after", "nan", "is not a number of seconds, above 0"),
        ("--rekey-after", "0", "is not a number of seconds, above 0"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, why: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        up(files, option, value)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"argument {option}: '{value}' {why}")


def test_a_way_through_the_data_path_that_is_none_is_refused_from_the_environment_too(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUNCHLAB_DATA_PATH", "fast")
    with pytest.raises(SystemExit, match="2"):
        up(files)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("PUNCHLAB_DATA_PATH: 'fast' is not auto, c, numpy or plain")


# --- keys ---


def test_a_new_key_goes_into_a_file_that_we_alone_may_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.key"
    assert main(["genkey", str(path)]) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert main(["pubkey", str(path)]) == 0
    public = NodePrivate.parse(path.read_text()).public
    assert capsys.readouterr().out == f"{public}\n"
    assert main(["genkey", str(path)]) == 2  # never over an older one


@pytest.mark.parametrize("command", ["genkey", "pubkey"])
def test_keys_have_help_too(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out == f"usage: python -m node {command} [FILE]\n"
    assert main([command, "--fast"]) == 2
    assert one_line(capsys).startswith("usage:")


def test_the_public_key_of_rubbish_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(b"\xff\xfe")
    assert main(["pubkey", str(path)]) == 2
    assert one_line(capsys) == "pubkey: not text"


# --- questions ---


class Fake:
    """A node's control socket with answers that were thought out beforehand."""

    def __init__(self, path: Path, answers: Sequence[dict[str, Any] | bytes]) -> None:
        self.path, self.requests = path, list[dict[str, Any]]()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._answers = answers
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rwb") as lines:
            for answer in self._answers:
                self.requests.append(json.loads(lines.readline()))
                text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                lines.write(text + b"\n")
                lines.flush()

    def close(self) -> None:
        self._socket.close()


def pong(kind: str, via: str, rtt_ms: float) -> dict[str, Any]:
    address = "100.64.2.20"
    return {"peer": "node-b", "address": address, "kind": kind, "via": via, "rtt_ms": rtt_ms}


def state(name: str, kind: str, via: str, **changes: Any) -> dict[str, Any]:
    peer = {"name": name, "addresses": ["100.64.2.20"], "kind": kind, "via": via}
    return {**peer, "active": True, "tx_bytes": 0, "rx_bytes": 0, **changes}


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def test_a_ping_says_by_which_path_the_pong_came(
    control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Fake(control, [pong("relay", "nyc", 41.83), pong("direct", "203.0.113.20:41641", 20.26)])
    arguments = ["--control", str(control), "node-b", "--until-direct", "--timeout", "20"]
    assert main(["ping", *arguments]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pong from node-b (100.64.2.20) via DERP(nyc) in 41.8 ms",
        "pong from node-b (100.64.2.20) via 203.0.113.20:41641 in 20.3 ms",
    ]


def test_a_ping_that_stays_on_the_relay_says_so(
    control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Fake(control, [pong("relay", "nyc", 41.83)])
    arguments = ["--control", str(control), "node-b", "--until-direct", "--timeout", "0.5"]
    assert main(["ping", *arguments]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "pong from node-b (100.64.2.20) via DERP(nyc) in 41.8 ms",
        "node-b stayed on DERP(nyc): no direct path within 0.5 s",
    ]


def test_a_ping_is_sent_however_short_the_time(
    control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Fake(control, [pong("relay", "nyc", 41.83)])
    assert main(["ping", "--control", str(control), "node-b", "--timeout", "1e-9"]) == 0
    assert capsys.readouterr().out == "pong from node-b (100.64.2.20) via DERP(nyc) in 41.8 ms\n"


def test_a_ping_without_any_reply_fails(control: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Fake(control, [{"error": "no reply from node-b", "timeout": True}])
    assert main(["ping", "--control", str(control), "node-b", "--count", "1"]) == 1
    assert capsys.readouterr().out == "no reply from node-b\n"


def test_a_ping_to_nobody_known_is_bad_input(
    control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Fake(control, [{"error": "no peer 'x'; the peers are: node-b"}])
    assert main(["ping", "--control", str(control), "x"]) == 2
    assert one_line(capsys) == "ping: no peer 'x'; the peers are: node-b"


def test_status_is_a_table_of_us_and_our_peers(
    control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = [
        state("node-b", "none", "", active=False),
        state("node-c", "relay", "nyc", active=False),
        state("node-d", "relay", "nyc", tx_bytes=92),
        state("node-e", "direct", "203.0.113.20:41641", tx_bytes=1240, rx_bytes=968),
        state("node-f", "peer-relay", "192.0.2.30:41641:vni:7"),
    ]
    me = {"name": "a", "addresses": ["100.64.1.10"], "home": "nyc", "data_path": "plain"}
    Fake(control, [{**me, "peers": peers}])
    assert main(["status", "--control", str(control)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        '100.64.1.10  a       home "nyc", data path plain',
        "100.64.2.20  node-b  -",
        '100.64.2.20  node-c  idle; relay "nyc"',
        '100.64.2.20  node-d  active; relay "nyc", tx 92 rx 0',
        "100.64.2.20  node-e  active; direct 203.0.113.20:41641, tx 1240 rx 968",
        "100.64.2.20  node-f  active; peer-relay 192.0.2.30:41641:vni:7",
    ]


def test_who_has_no_address_is_in_the_table_all_the_same(
    control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    me = {"name": "a", "addresses": ["100.64.1.10"], "home": "nyc", "data_path": "plain"}
    Fake(control, [{**me, "peers": [state("router", "none", "", active=False, addresses=[])]}])
    assert main(["status", "--control", str(control)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "-            router  -"


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_count_that_is_none_is_refused(
    control: Path, capsys: pytest.CaptureFixture[str], count: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["ping", "--control", str(control), "node-b", "--count", count])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"argument --count: '{count}' is not a number of 1 or more")


def test_a_node_that_is_stopped_is_not_waited_for(
    control: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "GRACE", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as frozen:
        frozen.bind(str(control))
        frozen.listen()  # the kernel takes connections for it
        assert main(["ping", "--control", str(control), "node-b", "--timeout", "0.1"]) == 3
    assert one_line(capsys) == "ping: the node does not answer; is it stopped?"


def test_what_is_no_node_is_not_taken_for_one(
    control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Fake(control, [b"SSH-2.0-OpenSSH_9.2"])
    assert main(["status", "--control", str(control)]) == 3
    assert one_line(capsys) == "status: what answers there is no node"


@pytest.mark.parametrize(
    ("mapping", "varies", "lines"),
    [
        (None, None, ["MappingVariesByDestIP: unknown", "PortMapping: none"]),
        (
            {"protocol": "pcp", "external": "203.0.113.10:41641", "why": None},
            True,
            ["MappingVariesByDestIP: yes", "PortMapping: 203.0.113.10:41641 by pcp"],
        ),
        (
            {"protocol": "upnp", "external": None, "why": "not authorized"},
            False,
            ["MappingVariesByDestIP: no", "PortMapping: refused by upnp: not authorized"],
        ),
    ],
)
def test_netcheck_tells_of_the_nat_and_of_its_port_mapping(
    control: Path, capsys: pytest.CaptureFixture[str],
    mapping: dict[str, Any] | None, varies: bool | None, lines: list[str],
) -> None:  # fmt: skip
    seen = {"udp": True, "ipv4": "203.0.113.10:1024", "ipv6": None, "mapping_varies": varies}
    near = {"latency_ms": {"fra": 80.0, "nyc": 20.25}, "preferred": "nyc"}
    Fake(control, [seen | near | {"port_mapping": mapping}])
    assert main(["netcheck", "--control", str(control)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "UDP: yes", "IPv4: 203.0.113.10:1024", "IPv6: no", *lines,
        "Nearest DERP: nyc", "  nyc: 20.2 ms", "  fra: 80.0 ms",
    ]  # fmt: skip


def test_without_a_node_every_question_ends_with_status_3(
    control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--control", str(control)]) == 3
    expected = f"status: no node answers at {control}: No such file or directory"
    assert one_line(capsys) == expected


# --- the UDP port ---


def test_a_batch_keeps_order_and_source_together() -> None:
    ours, theirs = UdpPort(0), UdpPort(0)
    to = Endpoint("127.0.0.1", ours.port)
    assert theirs.send([b"1", b"2", b"3"], to)
    loop = Loop()
    runs: list[tuple[Endpoint, list[bytes]]] = []
    fd = ours.fds[0]

    def readable(_events: int) -> None:
        runs.extend((source, [*map(bytes, rows.datagrams())]) for rows, source in ours.read(fd))
        if sum(len(datagrams) for _, datagrams in runs) == 3:
            loop.stop()

    loop.watch(fd, 1, readable)
    loop.at(loop.now() + PATIENCE, loop.stop)
    loop.run()
    source = Endpoint("127.0.0.1", theirs.port)
    assert [(source, datagram) for datagram in (b"1", b"2", b"3")] == [
        (source, datagram) for source, datagrams in runs for datagram in datagrams
    ]
    for port in (ours, theirs):
        port.close()
    loop.close()


def test_a_port_can_be_had_once() -> None:
    port = UdpPort(0)
    with pytest.raises(PortTaken, match="Address already in use"):
        UdpPort(port.port)
    port.close()


HEAVY = ("asyncio", "argparse", "cryptography", "numpy", "logging", "http", "email", "ctypes")
BUT_A_PARSER = tuple(each for each in HEAVY if each != "argparse")
LATER = (
    "node.core.mesh", "node.core.device", "node.core.noise", "node.core.portmap", "node.wire.derp",
    "node.core.http_connect", "hashlib", "dataclasses", "threading",
)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "not_wanted"),
    [
        ("node.io.daemon, node.io.relay_connection", HEAVY),
        # what stands before the relay's ports, and what follows
        (
            "node.io.derper",
            (*BUT_A_PARSER, "ssl", "threading", "node.netmap", "node.core.relay_server"),
        ),
        ("node.io.relay_daemon", (*HEAVY, "threading", "node.netmap", "node.core.relay_client")),
        # what stands before the first frame to a relay; the mesh is loaded while it answers
        (
            "node.io.head_start, node.io.relay_connection",
            (*HEAVY, *LATER),
        ),
    ],
)
def test_each_command_imports_only_what_it_needs(command: str, not_wanted: tuple[str, ...]) -> None:
    """A first packet must not wait for libraries that it does not need."""
    code = f"import sys, {command}; print([m for m in {not_wanted} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout == "[]\n"


def test_it_starts_without_what_msgspec_loads_if_it_is_there() -> None:
    pytest.importorskip("typing_extensions")
    wanted = "import sys; from node.__main__ import main; main(['genkey']); import msgspec"
    code = f"{wanted}; sys.exit('typing_extensions' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
