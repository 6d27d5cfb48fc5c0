"""Changes while the lab runs: open flows feel them, and what was not named does not.

    a1, a2 -- home-a --+-- server
               b1 -- home-b --+

Sockets that stay open all the time send and listen in every machine; a NAT shows in the address that the
server sees.
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, takewhile

import pytest

from lab.client import Lab
from lab.errors import BadRequest, LabError
from lab.judge.stage import Endpoint, Socket, Stage
from lab.model.plan import Ruleset
from lab.model.topology import loads
from tests.lab.cluster import wait_until
from tests.lab.conftest import Up
from tests.lab.plans import lasting, two_hosts

SOON, SILENCE = 20.0, 0.3  # seconds: for what has to come, and for what must not
SERVER = "192.0.2.10"
A_WAN, B_WAN = "203.0.113.10", "203.0.113.20"
HOMES = f"""
[router.home-a]
nat = {{ preset = "port-restricted-cone", ports = "random" }}
[router.home-b]
nat = {{ preset = "port-restricted-cone", ports = "random" }}
[host.a1]
on = "home-a"
[host.a2]
on = "home-a"
[host.b1]
on = "home-b"
[host.server]
addresses = ["{SERVER}"]
"""


@pytest.fixture
def homes(up: Up) -> Lab:
    return up(loads(HOMES, "homes.toml"))


@pytest.fixture
def stage(homes: Lab) -> Iterator[Stage]:
    with Stage(homes.popen) as stage:
        stage.enter(["a1", "a2", "b1", "server"])
        yield stage


@pytest.fixture
def server(stage: Stage) -> Socket:
    return stage.open("server", SERVER, 7000)


def seen_as(inside: Socket, server: Socket) -> Endpoint:
    """The endpoint that the server sees; and its answer comes in."""
    text = inside.stage.tag()
    inside.send(server.here, text)
    source = server.hear(text, SOON)
    assert source is not None
    assert passes(server, inside, source)
    return source


def passes(sender: Socket, receiver: Socket, to: Endpoint, within: float = SOON) -> bool:
    text = sender.stage.tag()
    sender.send(to, text)
    sender.stage.settle()  # it has left before its time is counted
    return receiver.hear(text, within) is not None


def test_without_a_change_an_open_flow_keeps_its_mapping(stage: Stage, server: Socket) -> None:
    a1 = stage.open("a1", "0.0.0.0")

    assert seen_as(a1, server) == seen_as(a1, server)  # the control of what follows


# --- nat


def test_a_flush_gives_open_flows_new_mappings_and_closes_the_old_ones(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1, b1 = stage.open("a1", "0.0.0.0"), stage.open("b1", "0.0.0.0")
    of_a1, of_b1 = seen_as(a1, server), seen_as(b1, server)

    answer = homes.nat("home-a", flush=True)

    assert answer["changed"] == ["flushed"]
    assert answer["forgotten"] >= 1
    assert not passes(server, a1, of_a1, within=SILENCE)
    assert seen_as(a1, server) not in (of_a1, of_b1)
    assert seen_as(b1, server) == of_b1  # the other home feels nothing


def test_another_profile_is_felt_by_an_open_flow(homes: Lab, stage: Stage, server: Socket) -> None:
    a1, b1 = stage.open("a1", "0.0.0.0"), stage.open("b1", "0.0.0.0")
    stranger = stage.open("server", SERVER)
    of_a1, of_b1 = seen_as(a1, server), seen_as(b1, server)
    assert not passes(stranger, a1, of_a1, within=SILENCE)

    answer = homes.nat("home-a", "full-cone")

    assert answer["changed"][0].endswith("-> full-cone")
    assert answer["forgotten"] >= 1
    now = seen_as(a1, server)
    assert now == Endpoint(A_WAN, a1.here.port)  # a full cone keeps the port
    assert passes(stranger, a1, now)  # and lets anybody in
    assert seen_as(b1, server) == of_b1
    assert not passes(stranger, b1, of_b1, within=SILENCE)


@pytest.mark.parametrize("profile", ["symmetric", "udp-blocked", "elastic-ip-firewalled"])
def test_rules_in_one_language_replace_those_in_the_other(up: Up, profile: str) -> None:
    alone = HOMES.replace('[host.a2]\non = "home-a"', "")
    lab = up(loads(alone, "homes.toml"))
    before = lab.plan().machine("home-a").rules

    lab.nat("home-a", profile)

    after = lab.plan().machine("home-a").rules
    assert [each.backend for each in before + after] == ["nftables", "iptables"]
    assert lab.run("home-a", ["nft", "list", "tables", "ip"]).stdout.count("table ip punchlab") == 0
    shown = lab.run("home-a", ["iptables-save"]).stdout
    assert all(f"-A {chain}" in shown for chain in ("INPUT", "FORWARD"))

    lab.nat("home-a", "full-cone")

    assert "table ip punchlab" in lab.run("home-a", ["nft", "list", "tables"]).stdout
    assert "-A" not in lab.run("home-a", ["iptables-save"]).stdout


def test_a_new_wan_address_is_felt_by_an_open_flow(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1, b1 = stage.open("a1", "0.0.0.0"), stage.open("b1", "0.0.0.0")
    of_a1, of_b1 = seen_as(a1, server), seen_as(b1, server)

    answer = homes.nat("home-a", wan=["203.0.113.99"])

    assert answer["changed"] == [f"wan: {A_WAN} -> 203.0.113.99"]
    assert seen_as(a1, server).address == "203.0.113.99"
    assert not passes(server, a1, of_a1, within=SILENCE)
    assert seen_as(b1, server) == of_b1
    assert "203.0.113.99\thome-a" in homes.run("b1", ["cat", "/etc/hosts"]).stdout
    [home_a] = [host for host in homes.status()["hosts"] if host["name"] == "home-a"]
    assert home_a["addresses"][0] == "203.0.113.99"


def test_a_change_that_is_refused_leaves_everything_as_it_was(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1 = stage.open("a1", "0.0.0.0")
    before, plan = seen_as(a1, server), homes.plan()

    for profile, wan in (("symetric", ()), ("", (B_WAN,)), ("elastic-ip", ())):
        with pytest.raises(BadRequest):
            homes.nat("home-a", profile, wan=wan)

    assert seen_as(a1, server) == before
    assert homes.plan() == plan
    assert [event for event in homes.events() if event["event"] == "nat"] == []


def test_a_change_that_fails_leaves_the_old_rules_and_what_they_remember(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1, elsewhere = stage.open("a1", "0.0.0.0"), stage.open("server", SERVER)
    before, plan = seen_as(a1, server), homes.plan()
    hide = "for each in /usr/sbin/xtables-*-multi; do mount --bind /dev/null $each; done"
    assert homes.popen(None, ["sh", "-ec", hide]).wait() == 0  # where the keeper alone sees it

    with pytest.raises(LabError, match="iptables is not installed"):
        homes.nat("home-a", "udp-blocked")

    assert seen_as(a1, elsewhere) == before  # its port is a random one: the mapping is the old one
    assert seen_as(a1, server) == before
    assert homes.plan() == plan
    assert [event for event in homes.events() if event["event"] == "nat"] == []


FULL = """
cd /run/punchlab/homes
known=$(cat topology.json)
mount -t tmpfs -o size=8k tmpfs "$PWD"
cd "$PWD"
printf %s "$known" >topology.json
cat /dev/zero >fill || true
"""


def test_a_change_that_cannot_be_written_down_is_not_made(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1, elsewhere = stage.open("a1", "0.0.0.0"), stage.open("server", SERVER)
    before, plan = seen_as(a1, server), homes.plan()
    assert homes.popen(None, ["sh", "-ec", FULL]).wait() == 0

    for change in (partial(homes.nat, "home-a", "full-cone"), partial(homes.move, "a1", "home-b")):
        with pytest.raises(LabError, match="not made: No space left on device"):
            change()

    assert seen_as(a1, elsewhere) == seen_as(a1, server) == before
    assert homes.popen(None, ["umount", "/run/punchlab/homes"]).wait() == 0
    assert homes.plan() == plan
    assert homes.nat("home-a", "full-cone")["changed"][0].endswith("-> full-cone")


FILTER = "*filter\n-A FORWARD -j {}\nCOMMIT\n"
DNAT_ON_THE_WAY_OUT = "*nat\n-A POSTROUTING -j DNAT --to-destination 10.0.0.1\nCOMMIT\n"
TABLE = "table ip t {{\n  chain c {{\n    {}\n  }}\n}}\n"


def test_rules_that_do_not_load_leave_the_old_ones(up: Up) -> None:
    """What is wrong with the new ones shows when the first half of them is loaded."""
    old = Ruleset("iptables", FILTER.format("DROP"), "a test")
    new = Ruleset("iptables", FILTER.format("ACCEPT") + DNAT_ON_THE_WAY_OUT, "a test")

    problem, shown = replaced(up, old, new, show="iptables-legacy-save || iptables-save")

    assert problem.startswith("middle: its iptables rules do not load")
    assert [line for line in shown.splitlines() if line.startswith("-A")] == ["-A FORWARD -j DROP"]


def test_rules_are_all_tried_before_any_is_loaded(up: Up) -> None:
    old, fine, bad = (
        Ruleset("nftables", TABLE.format(rule), "a test") for rule in ("accept", "drop", "nonsense")
    )

    problem, shown = replaced(up, old, fine, bad, show="nft list ruleset")

    assert problem.startswith("middle: its nftables rules do not load, line 3 (nonsense)")
    assert shown.split() == ["table", "ip", "t", "{", "chain", "c", "{", "accept", "}", "}"]


def replaced(up: Up, old: Ruleset, *new: Ruleset, show: str) -> tuple[str, str]:
    """In a router: the complaint about the new rules, and what is loaded then."""
    script = f"""
import os, subprocess
from lab.errors import LabError
from lab.model.plan import Ruleset
from lab.world.namespaces import Visitor
from lab.world.rules import Loader
loader, here = Loader(Visitor()), os.open("/proc/self/ns/net", os.O_RDONLY)
loader.replace("middle", here, (), ({old!r},))
try:
    loader.replace("middle", here, ({old!r},), {new!r})
except LabError as error:
    print(str(error).partition("\\n")[0], flush=True)
subprocess.run({show!r}, shell=True)
"""
    done = up(two_hosts()).run("middle", [sys.executable, "-c", script])
    assert done.returncode == 0, done.stderr
    problem, _, shown = done.stdout.partition("\n")
    return problem, shown


def test_what_was_brought_up_is_still_there_by_its_first_name(up: Up) -> None:
    topology = loads(HOMES, "homes.toml")
    lab = up(topology)
    lab.nat("home-a", "symmetric")

    assert up(topology).folder == lab.folder  # the same input: no other plan
    assert lab.topology().router("home-a").nat.preset == "symmetric"


def test_a_lab_without_a_topology_can_only_be_flushed(up: Up) -> None:
    masquerade = Ruleset("iptables", "*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n", "a test")
    lab = up(two_hosts(rules=(masquerade,)))

    assert lab.nat("middle", flush=True)["changed"] == ["flushed"]
    with pytest.raises(BadRequest, match="made from a plan, not from a topology"):
        lab.nat("middle", "symmetric")


@pytest.mark.parametrize(
    ("router", "told"), [("a1", "a1 is a host, not a router"), ("home-x", "no machine home-x")]
)
def test_only_routers_have_a_nat(homes: Lab, router: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        homes.nat(router, "symmetric")


# --- unplug and plug


def test_an_unplugged_home_is_out_of_reach_and_plugged_in_again_its_open_flows_go_on(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1, b1 = stage.open("a1", "0.0.0.0"), stage.open("b1", "0.0.0.0")
    of_a1, of_b1 = seen_as(a1, server), seen_as(b1, server)

    assert homes.unplug("home-a") == ["home-a/wan0 to internet/home-a"]

    assert not passes(a1, server, server.here, within=SILENCE)
    assert not passes(server, a1, of_a1, within=SILENCE)
    assert seen_as(b1, server) == of_b1

    assert homes.plug("home-a") == ["home-a/wan0 to internet/home-a"]

    assert passes(server, a1, of_a1)
    assert seen_as(a1, server) == of_a1


# --- cut and restore


def punched(one: Socket, other: Socket, server: Socket) -> tuple[Endpoint, Endpoint]:
    """A direct flow through both NATs: the endpoints by which each is reached."""
    of_one, of_other = seen_as(one, server), seen_as(other, server)
    passes(one, other, of_other, within=SILENCE)
    assert passes(other, one, of_one)
    assert passes(one, other, of_other)
    return of_one, of_other


def test_a_cut_stops_an_open_flow_and_nobody_elses(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1, a2, b1 = (stage.open(name, "0.0.0.0") for name in ("a1", "a2", "b1"))
    of_a1, of_b1 = punched(a1, b1, server)
    of_a2, _ = punched(a2, b1, server)

    homes.cut("a1", "b1")

    assert not passes(a1, b1, of_b1, within=SILENCE)
    assert not passes(b1, a1, of_a1, within=SILENCE)
    assert passes(a2, b1, of_b1)  # behind the same NAT as a1
    assert passes(b1, a2, of_a2)
    assert seen_as(a1, server) == of_a1
    assert [each["dropped"] for each in homes.cuts()] == [2]

    assert homes.restore("b1", "a1")["dropped"] == 2
    assert passes(a1, b1, of_b1)
    assert passes(b1, a1, of_a1)


@pytest.mark.parametrize(("a", "b"), [("a1", "b1"), ("b1", "a1")])
def test_a_cut_one_way_lets_the_other_pass(
    homes: Lab, stage: Stage, server: Socket, a: str, b: str
) -> None:
    one, other = stage.open(a, "0.0.0.0"), stage.open(b, "0.0.0.0")
    of_one, of_other = punched(one, other, server)

    homes.cut(a, b, one_way=True)

    assert not passes(one, other, of_other, within=SILENCE)
    assert passes(other, one, of_one)


def test_a_second_cut_of_a_pair_takes_the_place_of_the_first(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1, b1 = stage.open("a1", "0.0.0.0"), stage.open("b1", "0.0.0.0")
    of_a1, of_b1 = punched(a1, b1, server)
    homes.cut("a1", "b1", one_way=True)
    assert not passes(a1, b1, of_b1, within=SILENCE)

    homes.cut("b1", "a1", one_way=True)

    assert passes(a1, b1, of_b1)
    assert not passes(b1, a1, of_a1, within=SILENCE)
    assert homes.restore("a1", "b1")["dropped"] == 2


def test_neighbours_in_one_lan_are_cut_too(homes: Lab, stage: Stage, server: Socket) -> None:
    a1, a2 = stage.open("a1", "192.168.1.10"), stage.open("a2", "192.168.1.11")
    assert passes(a1, a2, a2.here)

    homes.cut("a1", "a2")

    assert not passes(a1, a2, a2.here, within=SILENCE)
    seen_as(a1, server)


def test_a_cut_drops_tcp_until_it_is_restored(homes: Lab) -> None:
    with conversation(homes, "a1") as (client, served):
        homes.cut("a1", "server")
        client("send", "during")
        assert homes.run("a1", ["ping", "-c1", "-W1", SERVER]).returncode == 1

        homes.restore("a1", "server")

        assert served() == "during\n"  # TCP sends it again


def test_a_cut_with_reset_ends_open_connections_and_no_other(homes: Lab) -> None:
    with conversation(homes, "a1") as (a1, _), conversation(homes, "a2", 7002) as (a2, served):
        homes.cut("a1", "server", reset=True)

        assert a1("send", "one") == "sent\n"
        assert a1("read") == "ECONNRESET\n"
        assert a2("send", "two") == "sent\n"
        assert served() == "two\n"


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [("a1", "a1", "a1 is one machine"), ("a1", "c1", "no machine c1"), ("x", "a1", "no machine x")],
)
def test_a_cut_is_between_two_machines_of_the_lab(homes: Lab, a: str, b: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        homes.cut(a, b)


def test_what_is_not_cut_cannot_be_restored(homes: Lab) -> None:
    homes.cut("a1", "server")

    with pytest.raises(BadRequest, match="a1 and b1 are not cut\ncut: a1 server"):
        homes.restore("a1", "b1")


# --- move


def test_a_moved_host_speaks_from_its_new_home_and_the_others_from_theirs(
    homes: Lab, stage: Stage, server: Socket
) -> None:
    a1, a2, b1 = (stage.open(name, "0.0.0.0") for name in ("a1", "a2", "b1"))
    of_a1, of_a2, of_b1 = (seen_as(each, server) for each in (a1, a2, b1))
    assert of_a1.address == A_WAN

    answer = homes.move("a1", "home-b")

    assert (answer["had"], answer["has"]) == (["192.168.1.10"], ["192.168.2.11"])
    assert seen_as(a1, server).address == B_WAN
    assert seen_as(a2, server) == of_a2
    assert seen_as(b1, server) == of_b1

    homes.move("a1", "home-a")

    assert seen_as(a1, server).address == A_WAN
    assert homes.run("a1", ["hostname", "-I"]).stdout.split() == ["192.168.1.10"]


def test_a_moved_host_sees_its_cable_pulled_and_plugged(homes: Lab) -> None:
    argv = ["ip", "-o", "monitor", "link", "address"]
    with homes.popen("a1", argv, stdout=subprocess.PIPE, text=True) as monitor:
        lines = monitor.stdout
        assert lines is not None

        def mark(address: str) -> None:
            homes.run("a1", ["ip", "address", "replace", address, "dev", "lo"])

        for n in count(1):
            mark(f"10.9.9.{n}")
            if select.select([lines], [], [], 0.2)[0]:  # it listens
                break

        homes.move("a1", "home-b")

        mark("10.8.8.8")
        told = "".join(takewhile(lambda line: "10.8.8.8" not in line, iter(lines.readline, "")))
        monitor.terminate()
    assert told.index("NO-CARRIER") < told.rindex("LOWER_UP")
    assert told.index("Deleted 2: eth0    inet 192.168.1.10/24") < told.index("192.168.2.11/24")
    assert "Deleted 2: eth0: " not in told  # the same interface all along


def test_cuts_and_bent_links_go_with_the_cable(homes: Lab, stage: Stage, server: Socket) -> None:
    a1, b1 = stage.open("a1", "0.0.0.0"), stage.open("b1", "0.0.0.0")
    homes.link("a1", loss="100%")
    homes.cut("a1", "b1")

    homes.move("a1", "home-b")

    assert not passes(a1, server, server.here, within=SILENCE)
    homes.link("a1", clean=True)
    homes.run("a1", ["ip", "neigh", "flush", "all"])  # who asked in vain asks again after a second
    seen_as(a1, server)
    own = homes.plan().underlay["b1"]
    assert not passes(a1, b1, Endpoint(own, b1.here.port), within=SILENCE)
    assert homes.restore("a1", "b1")["dropped"] == 1
    assert passes(a1, b1, Endpoint(own, b1.here.port))


@pytest.mark.parametrize(
    ("host", "router", "told"),
    [
        ("a1", "home-c", 'no router "home-c"'),
        ("home-a", "home-b", "only a host's cable"),
        ("x", "home-b", "no machine x"),
    ],
)
def test_only_a_host_moves_and_only_to_a_router(
    homes: Lab, host: str, router: str, told: str
) -> None:
    with pytest.raises(BadRequest, match=told):
        homes.move(host, router)


# --- what was done is in the log


def test_each_change_is_an_event(homes: Lab) -> None:
    homes.nat("home-a", flush=True)
    homes.cut("a1", "b1")
    homes.restore("a1", "b1")
    homes.move("a1", "home-b")

    told = [(e["event"], e["host"]) for e in homes.events() if e["host"] != "lab"]
    assert told == [("nat", "home-a"), ("cut", "a1"), ("restore", "a1"), ("move", "a1")]


def test_a_frozen_daemon_is_frozen_until_it_thaws(up: Up) -> None:
    lab = up(two_hosts(lasting("node-a")))

    def state() -> tuple[str, str]:
        daemon = lab.status()["hosts"][1]["daemon"]
        [kernel] = lab.run(
            "node-a", ["ps", "-o", "state=", "-p", str(daemon["pid"])]
        ).stdout.split()
        return daemon["state"], kernel

    wait_until(lambda: state() == ("ready", "S"))
    lab.daemon("node-a", "freeze")
    wait_until(lambda: state() == ("frozen", "T"))
    lab.daemon("node-a", "thaw")
    wait_until(lambda: state() == ("ready", "S"))


# --- TCP, by two programs on strings

_SERVE = """
import socket, sys
with socket.create_server(("", int(sys.argv[1]))) as listening:
    print("listening", flush=True)
    connection, _ = listening.accept()
    for line in connection.makefile("rb"):
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
"""
_CONNECT = """
import errno, socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("connected", flush=True)
for line in sys.stdin:
    word, _, text = line.rstrip().partition(" ")
    try:
        print("sent" if word == "send" and not connection.sendall(text.encode() + b"\\n")
              else connection.recv(10), flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
"""


@contextmanager
def conversation(
    lab: Lab, host: str, port: int = 7001
) -> Iterator[tuple[partial[str], partial[str]]]:
    """A TCP connection to the server: orders for its client, and what the server gets."""
    pipe = subprocess.PIPE
    serve = [sys.executable, "-c", _SERVE, str(port)]
    connect = [sys.executable, "-c", _CONNECT, SERVER, str(port)]
    with lab.popen("server", serve, stdout=pipe, text=True) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline() == "listening\n"
        with lab.popen(host, connect, stdin=pipe, stdout=pipe, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "connected\n"
            try:
                yield partial(_order, client), partial(serving.stdout.readline)
            finally:
                client.kill()
                serving.kill()


def _order(client: subprocess.Popen[str], *words: str) -> str:
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(" ".join(words) + "\n")
    client.stdin.flush()
    return client.stdout.readline()
