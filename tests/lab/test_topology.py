"""Topologies read from text: what is accepted, and each mistake in one line with file and key."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from lab.model.link import LinkQuality, Shape
from lab.model.network import Host, Relay
from lab.model.topology import TopologyError, known, load, loads

MANY = 5000  # more digits, or levels, than Python goes along with
DIGITS = "9" * MANY

# Two homes, with room for one mistake more.
GOOD = """
relay.nyc = {}
router.home-a = { nat = "port-restricted-cone", lan = "192.168.1.0/24" }
router.home-b = { nat = "symmetric" }
host.node-a = { on = "home-a", runs = "node", overlay = "100.64.1.10" }
host.node-b = { on = "home-b", runs = "node", overlay = "100.64.2.20" }
"""

CARRIER = """
router.isp = { nat = "symmetric", lan = "10.64.0.0/20" }
router.home = { nat = "symmetric", upstream = "isp" }
host.pc = { on = "home" }
"""

BAD = {
    # Not TOML, not the right shape.
    "title = ": "line 1: not TOML: Invalid value",
    "title = 'a'\ntitle = 'b'": "line 2: not TOML: Cannot overwrite a value",
    "title = 'a'\nhost.a = { on = }": "line 2, column 17: not TOML: Invalid value",
    "": "has no machine; begin with [host.NAME]",
    "host = 3": "host: 3 is not a table",
    "host.a = 'b'": 'host.a: "b" is not a table',
    "title = 3\nhost.a = {}": "title: 3 is not a text",
    # Unknown keys, with the nearest known one.
    "hots.a = {}": 'hots: unknown key; did you mean "host"?',
    "host.a.rusn = 'node'": 'host.a.rusn: unknown key; did you mean "runs"?',
    "router.r.natt = 'open'": 'router.r.natt: unknown key; did you mean "nat"?',
    "relay.nyc.hostnam = 'x.y'": 'relay.nyc.hostnam: unknown key; did you mean "hostname"?',
    "host.a = {}\nlink.a.dealy = '5ms'": 'link.a.dealy: unknown key; did you mean "delay"?',
    "host.a = {}\nlink.a.up.los = '5%'": 'link.a.up.los: unknown key; did you mean "loss"?',
    # Names.
    "host.internet = {}": "host.internet: a reserved name",
    "host.lo = {}": "host.lo: a reserved name",
    "host.keeper = {}": "host.keeper: a reserved name",
    "host.delayline = {}": "host.delayline: a reserved name",
    "host.Node = {}": (
        "host.Node: a name has small letters, digits and inner hyphens, a letter first"
    ),
    f"host.{'a' * 64} = {{}}": f"host.{'a' * 64}: a name has at most 63 characters, not 64",
    "relay.a = {}\nhost.a = {}": "host.a: there is a relay of that name",
    # Relays.
    "relay.nyc.hostname = 'nyc_derp'": (
        'relay.nyc.hostname: "nyc_derp" is not a host name such as "nyc.derp.example"'
    ),
    "relay.nyc.hostname = '192.0.2.9'": (
        'relay.nyc.hostname: "192.0.2.9" is an address, not a host name such as "nyc.derp.example"'
    ),
    "relay.nyc.hostname = 'x.y'\nrelay.fra.hostname = 'x.y'": (
        'relay.fra.hostname: "x.y" is the hostname of nyc'
    ),
    "relay.nyc.hostname = 'a'\nhost.a = {}": 'relay.nyc.hostname: "a" is a machine\'s name',
    "relay.nyc.addresses = ['192.0.2.8', '192.0.2.9']": (
        "relay.nyc.addresses: a relay has one address, not 2"
    ),
    # Routers.
    "router.r = {}": (
        "router.r.nat: missing; say which NAT it is: "
        'nat = "port-restricted-cone", or nat = "open" for none'
    ),
    "router.r.nat = 'open'\nrouter.r.lan = '192.168.1.1/24'": (
        'router.r.lan: "192.168.1.1/24" is not a network; did you mean "192.168.1.0/24"?'
    ),
    "router.r.nat = 'open'\nrouter.r.lan = 'home'": (
        'router.r.lan: "home" is not a network such as "192.168.1.0/24"'
    ),
    "router.r.nat = 'open'\nrouter.r.lan = '192.168.1.0/30'": (
        "router.r.lan: 192.168.1.0/30 has the wrong size; take /8 to /29"
    ),
    "router.r.nat = 'open'\nrouter.r.lan = '100.64.0.0/16'": (
        "router.r.lan: 100.64.0.0/16 overlaps the overlay's 100.64.0.0/10"
    ),
    "router.r.nat = 'open'\nrouter.r.upstream = 'q'": (
        'router.r.upstream: there is no router "q"; known: r'
    ),
    "router.r.nat = 'open'\nrouter.r.upstream = 'pc'\nhost.pc = {}": (
        'router.r.upstream: "pc" is not a router'
    ),
    "router.a = { nat = 'open', upstream = 'b' }\nrouter.b = { nat = 'open', upstream = 'a' }": (
        "router.a.upstream: a loop of routers: a -> b -> a"
    ),
    "router.a = { nat = 'open', upstream = 'a' }": "router.a.upstream: a loop of routers: a -> a",
    # Hosts.
    "host.a.on = []": "host.a.on: is empty; leave it out for a host on the internet",
    "host.a.on = 3": "host.a.on: 3 is neither a text nor a list of texts",
    "host.a.addresses = ['192.0.2.300']": ('host.a.addresses: "192.0.2.300" is not an address'),
    "host.a.addresses = ['127.0.0.1']": (
        "host.a.addresses: 127.0.0.1 is not the address of a machine"
    ),
    "host.a.addresses = ['100.64.0.1']": (
        "host.a.addresses: 100.64.0.1 lies in the overlay's 100.64.0.0/10"
    ),
    "host.a.addresses = ['192.0.2.1']": "host.a.addresses: 192.0.2.1 is taken by the internet itself",
    "host.a.addresses = ['192.0.2.9']\nhost.b.addresses = ['192.0.2.9']": (
        "host.b.addresses: 192.0.2.9 is taken by a"
    ),
    "host.a.runs = 'nodes'": 'host.a.runs: no daemon is called "nodes"; did you mean "node"?',
    "host.a.runs = 'node'": 'host.a.overlay: missing; a node needs one, as in "100.64.1.10"',
    "host.a = { runs = 'node', overlay = '100.64.0.1' }": (
        "host.a.runs: a node needs a relay, and there is none; add [relay.nyc]"
    ),
    "host.a.runs = 'command'": ('host.a.argv: missing; say what to run: argv = ["iperf3", "-s"]'),
    "host.a = { ready = 'up' }": (
        'host.a.ready: does nothing here; it belongs to runs = "command"'
    ),
    "host.a = { runs = 'command', argv = 'iperf3 -s' }": (
        'host.a.argv: "iperf3 -s" is not a list of texts'
    ),
    "host.a.overlay = '100.64.0.1'": (
        'host.a.overlay: does nothing on a plain host; add runs = "node"'
    ),
    "host.a.overlay = '10.0.0.1'": (
        "host.a.overlay: 10.0.0.1 is not an overlay address; take one of 100.64.0.0/10"
    ),
    "host.a.listen_port = 70000": "host.a.listen_port: 70000 is not between 1 and 65535",
    "host.a.listen_port = true": "host.a.listen_port: true is not a whole number",
    # Links.
    "host.pc1 = {}\nlink.pc2 = {}": (
        "link.pc2: a link has the name of the machine whose uplink it is, "
        'and there is no "pc2"; did you mean "pc1"?'
    ),
    "host.a = {}\nlink.a.delay = 20": "link.a.delay: 20 is not a text",
    "host.a = {}\nlink.a.delay = '20'": 'link.a.delay: "20" is not a quantity such as "20ms"',
    "host.a = {}\nlink.a.loss = '101%'": 'link.a.loss: "101%" is more than 100%',
    "host.a = {}\nlink.a.rate = '1bit'": 'link.a.rate: "1bit" is less than "1kbit"',
    "host.a = {}\nlink.a.mtu = 100": "link.a.mtu: 100 is not between 576 and 65535",
    "host.a = {}\nlink.a.jitter = '5ms'": "link.a.jitter: is longer than the delay that it varies",
    "host.a = {}\nlink.a.burst = 5": "link.a.burst: does nothing without loss",
    "host.a = {}\nlink.a.reorder = '5%'": "link.a.reorder: does nothing without a delay",
}

BAD_BESIDE_GOOD = {
    "host.pc.on = 'home-c'": 'host.pc.on: there is no router "home-c"; did you mean "home-b"?',
    "host.pc.on = 'nyc'": 'host.pc.on: "nyc" is not a router',
    "host.pc.on = ['home-a', 'home-a']": 'host.pc.on: "home-a" is there twice',
    "host.pc = { on = 'home-a', addresses = ['192.168.1.5', '192.168.1.6'] }": (
        "host.pc.addresses: 2 addresses for 1 uplink; give one for each, in the order of `on`"
    ),
    "host.pc = { on = 'home-a', addresses = ['192.168.7.5'] }": (
        "host.pc.addresses: 192.168.7.5 is not in 192.168.1.0/24, the lan of home-a"
    ),
    "host.pc = { on = 'home-a', addresses = ['192.168.1.1'] }": (
        "host.pc.addresses: 192.168.1.1 is home-a's own address in its lan"
    ),
    "host.pc = { on = 'home-b', addresses = ['192.168.2.5'] }": (
        "host.pc.addresses: 192.168.2.5 is in no lan that is given; give home-b a lan"
    ),
    "host.pc = { runs = 'node', overlay = '100.64.1.10' }": (
        "host.pc.overlay: 100.64.1.10 is the overlay address of node-a already"
    ),
    "host.pc = { runs = 'node', overlay = '100.64.3.3', home = 'nyv' }": (
        'host.pc.home: there is no relay "nyv"; did you mean "nyc"?'
    ),
    "host.pc.addresses = ['192.168.1.77']": (
        "host.pc.addresses: 192.168.1.77/32 overlaps 192.168.1.0/24, the lan of home-a"
    ),
    "router.c = { nat = 'symmetric', lan = '203.0.113.0/25' }": (
        "router.c.lan: 203.0.113.0/25 overlaps 203.0.113.0/24 of the internet"
    ),
    "router.c = { nat = 'open', lan = '10.0.0.0/16' }\n"
    "router.d = { nat = 'open', lan = '10.0.1.0/24' }": (
        "router.d.lan: 10.0.1.0/24 overlaps 10.0.0.0/16, the lan of c"
    ),
    "router.c = { nat = 'open', lan = '192.168.1.0/25', upstream = 'home-a' }": (
        "router.c.lan: 192.168.1.0/25 overlaps 192.168.1.0/24, the lan of home-a"
    ),
    "router.c = { nat = 'symmetric', lan = '192.168.0.0/16', upstream = 'home-a' }": (
        "router.c.lan: 192.168.0.0/16 overlaps 192.168.1.0/24, the lan of home-a"
    ),
    "router.c = { nat = 'symmetric', lan = '192.168.9.0/29' }\n"
    + "\n".join(f"host.pc{n}.on = 'c'" for n in range(6)): (
        "host.pc5: no address is left in 192.168.9.0/29 of c"
    ),
    "router.c = { nat = 'symmetric', lan = '192.168.1.0/24' }\nhost.pc.on = ['home-a', 'c']": (
        "host.pc.on: home-a and c have one lan, 192.168.1.0/24"
    ),
}


@pytest.mark.parametrize(("text", "line"), BAD.items())
def test_a_mistake_is_one_line_with_file_and_key(text: str, line: str) -> None:
    assert problem_of(text) == f"topologies/x.toml: {line}"


@pytest.mark.parametrize(("text", "line"), BAD_BESIDE_GOOD.items())
def test_a_mistake_between_tables_names_the_later_one(text: str, line: str) -> None:
    assert problem_of(GOOD + text) == f"topologies/x.toml: {line}"


@pytest.mark.parametrize("value", [DIGITS, "[" * MANY], ids=["digits", "brackets"])
def test_a_value_beyond_measure_is_one_line(value: str) -> None:
    assert problem_of(f"title = {value}").startswith("topologies/x.toml: not TOML: ")
    with pytest.raises(TopologyError, match=r"^--set: title: not TOML: .*$"):
        load("nat-pair", {"title": value})


def test_a_value_that_cannot_be_written_down_is_not_shown() -> None:
    assert problem_of(f"host.a.listen_port = 0x{DIGITS}") == (
        "topologies/x.toml: host.a.listen_port: this value is not between 1 and 65535"
    )
    deep = problem_of("title" + ".a" * MANY + " = 1")
    assert deep.startswith("topologies/x.toml: title: ")
    assert deep.endswith(" is not a text")


def test_the_same_texts_without_the_mistakes_are_good() -> None:
    loads(GOOD, "x.toml")
    loads(CARRIER, "x.toml")


def test_two_homes_may_have_the_same_lan() -> None:
    loads(GOOD + "router.c = { nat = 'symmetric', lan = '192.168.1.0/24' }", "x.toml")


def test_a_nat_word_that_means_nothing_is_told_with_its_key() -> None:
    wrong = GOOD.replace('"symmetric"', '{ mapping = "endpoint-independant" }')
    assert problem_of(wrong).startswith("topologies/x.toml: router.home-b.nat.mapping: ")


def test_what_a_topology_says_is_read() -> None:
    topology = loads(
        """# x: a story
#
#   a -- r
title = "A story"
[relay.nyc]
addresses = "198.51.100.7"
[router.r]
nat = "open"
lan = "192.168.5.0/24"
[host.a]
on = "r"
runs = "node"
overlay = ["100.64.1.1", "fd7a:115c:a1e0::1"]
listen_port = 7000
home = "nyc"
[link.r]
delay = "20ms"
jitter = "1.5ms"
loss = "2%"
burst = 3
down = { rate = "20mbit", loss = "0%", burst = 1 }
mtu = 1400
""",
        "some/where/x.toml",
    )
    assert topology.name == "x"
    assert topology.title == "A story"
    assert topology.drawing == "x: a story\n\n  a -- r"
    assert topology.relays == (Relay("nyc", "nyc.derp.example", (IPv4Address("198.51.100.7"),)),)
    [router] = topology.routers
    assert (router.nat.preset, router.lan) == ("open", IPv4Network("192.168.5.0/24"))
    assert topology.hosts == (
        Host(
            name="a",
            on=("r",),
            runs="node",
            overlay=("100.64.1.1", "fd7a:115c:a1e0::1"),
            listen_port=7000,
            home="nyc",
        ),
    )
    assert topology.links == {
        "r": LinkQuality(
            up=Shape(delay=0.02, jitter=0.0015, loss=0.02, burst=3),
            down=Shape(delay=0.02, jitter=0.0015, rate=20_000_000),
            mtu=1400,
        )
    }


OVERRIDES = {
    ("router.home-a.nat", "symmetric"): "",
    ("router.home-a.nat.timeout", "5s"): "",
    ("router.home-a.lan", '"192.168.77.0/24"'): "",
    ("link.home-a.delay", "5ms"): "",
    ("host.node-a.listen_port", "7000"): "",
    ("title", "Another story"): "",
    ("router.home-z.nat", "open"): (
        '--set: router.home-z.nat: there is no router "home-z"; did you mean "home-b"?'
    ),
    ("ruoter.home-a.nat", "open"): (
        '--set: ruoter.home-a.nat: unknown key; did you mean "router"?'
    ),
    ("router.home-a", "open"): "--set: router.home-a: names a table; say which key of it",
    ("router.home-a.lan.x", "1"): "--set: router.home-a.lan.x: router.home-a.lan is not a table",
    ("router.home-a.nta", "open"): (
        'topologies/nat-pair.toml: router.home-a.nta: unknown key; did you mean "nat"?'
    ),
    ("host.node-a.listen_port", "many"): (
        'topologies/nat-pair.toml: host.node-a.listen_port: "many" is not a whole number'
    ),
}


@pytest.mark.parametrize(("override", "line"), OVERRIDES.items())
def test_an_override_is_taken_or_told(override: tuple[str, str], line: str) -> None:
    key, value = override
    if not line:
        assert load("nat-pair", {key: value}) != load("nat-pair")
        return
    with pytest.raises(TopologyError) as caught:
        load("nat-pair", {key: value})
    assert str(caught.value) == line


def test_an_override_leaves_the_words_beside_it() -> None:
    router = load("hard-pair", {"router.home-a.nat.timeout": "5s"}).router("home-a")
    assert (router.nat.mapping, router.nat.timeout) == ("address-and-port-dependent", 5)


def test_a_missing_topology_is_told_with_the_known_ones() -> None:
    with pytest.raises(TopologyError) as caught:
        load("duble-nat")
    names = ", ".join(name for name, _ in known())
    assert str(caught.value) == (
        f'there is no topology "duble-nat"; did you mean "double-nat"? There is {names}'
    )


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TopologyError) as caught:
        load(str(tmp_path / "no.toml"))
    assert str(caught.value) == f"{tmp_path}/no.toml: there is no such file"


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(TopologyError) as caught:
        load(str(path))
    assert str(caught.value) == f"{path}: is not UTF-8 text"


def problem_of(text: str) -> str:
    with pytest.raises(TopologyError) as caught:
        loads(text, "topologies/x.toml")
    return str(caught.value)
