"""Why is it relayed? Asked of running labs: the routers, the rule that dropped the pings, the way out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.judge.explain import explain
from lab.judge.gather import gather
from lab.model.explanation import Explanation, Remedy
from lab.pytest_plugin import Net, StartLab
from lab.view.explained import text

pytestmark = pytest.mark.xdist_group("explain")  # two labs for most of these
A, B = "node-a", "node-b"
WITHIN = 20  # seconds for a path on a busy machine
PROGRAM = Path(__file__).parent.parent / "interop" / "outside_project" / "handshaker.py"
HANDSHAKER = ["{{ python }}", str(PROGRAM)]
MEETING_PLACE = f"""
[host.meet]
runs = "command"
argv = {json.dumps([*HANDSHAKER, "meet", "7000"])}
ready = "ready"
"""


@pytest.fixture(scope="module")
def easy(module_lab: StartLab) -> Net:
    return module_lab("nat-pair")


def test_two_symmetric_nats_are_named_and_so_is_the_rule_that_dropped_the_pings(
    lab: StartLab,
) -> None:
    net = lab("hard-pair")
    look_for_a_direct_path(net, A, B)

    found = explained(net)

    assert (found.path.kind, found.expected.rule, found.agrees) == ("relay", "R4b", True)
    assert causes(found)[0].startswith("home-a and home-b both map anew")
    for end, near, far in ((A, "home-a", "home-b"), (B, "home-b", "home-a")):
        [lines] = [each.evidence for each in found.findings if each.about == end]
        left, dropped = lines
        assert left.startswith(f"{near}: it left from 203.0.113.")
        assert ", and nyc knows it as 203.0.113." in left
        assert dropped.startswith(f"{far}: ")
        assert dropped.endswith("nobody inside asked for it (iptables: -A INPUT -i wan0 -j DROP)")
        assert int(dropped.split()[1]) > 0

    apply(net, found.remedies[0])  # what is said to make it direct does
    direct(net)
    found = explained(net)
    assert (found.expected.rule, found.agrees, causes(found), found.remedies) == (
        "D1",
        True,
        [],
        (),
    )
    assert any(" <-> 203.0.113." in line for line in found.findings[0].evidence)


def test_a_direct_path_blames_nobody(easy: Net) -> None:
    direct(easy)

    found = explained(easy)

    assert (found.expected.rule, found.agrees, causes(found), found.remedies) == (
        "D3",
        True,
        [],
        (),
    )
    [line, *_] = found.findings[0].evidence
    assert line.startswith(
        "home-a: 192.168.1.10:41641 as 203.0.113.10:41641 <-> 203.0.113.20:41641: "
    )


def test_a_cut_is_found_with_what_it_dropped_and_with_its_end(easy: Net) -> None:
    direct(easy)

    easy.cut(A, B)
    easy.node(A).wait_for_path(easy.node(B), "relay", within=WITHIN)
    found = explained(easy)

    assert (found.expected.path, found.agrees) == ("direct", False)
    [cause] = causes(found)
    words = cause.removeprefix("node-a and node-b are cut: ").split()
    assert (int(words[0]) > 0, words[1:]) == (True, ["packets", "dropped", "so", "far"])
    apply(easy, found.remedies[0])
    direct(easy)
    assert causes(explained(easy)) == []


def test_a_link_that_loses_everything_is_found(easy: Net) -> None:
    direct(easy)

    easy.lab.link("home-b", loss="100%")
    easy.node(A).wait_for_path(easy.node(B), "relay", within=WITHIN)
    found = explained(easy)

    assert causes(found) == ["the link home-b loses 100% of the packets (both ways)"]
    apply(easy, found.remedies[0])
    direct(easy)


def test_a_frozen_daemon_is_found_though_it_cannot_be_asked(easy: Net) -> None:
    direct(easy)

    easy.daemon(B, "freeze")
    try:
        easy.node(A).wait_for_path(easy.node(B), "relay", within=WITHIN)
        found = explained(easy)
    finally:
        easy.daemon(B, "thaw")

    assert causes(found) == ["the node of node-b is frozen (SIGSTOP)"]
    assert found.remedies[0].command.endswith("node-b --thaw")


def test_who_blocks_udp_is_found_by_the_rule_that_lets_nothing_out(lab: StartLab) -> None:
    net = lab("udp-blocked")
    look_for_a_direct_path(net, B)

    found = explained(net)

    assert (found.expected.rule, causes(found)) == ("R5", ["office lets no UDP out"])
    [line, *_] = next(each.evidence for each in found.findings if each.about == A)
    assert line.startswith("office: ")
    assert "only TCP 443 goes out (iptables: -A FORWARD -o wan0 -j REJECT" in line
    assert [each.sentence for each in found.remedies] == ["office lets UDP out"]


def test_a_router_that_is_not_what_it_is_called_is_found_out(lab: StartLab) -> None:
    net = lab("nat-pair")
    masquerade = "iptables -t nat -{} POSTROUTING -o wan0 -j MASQUERADE {}"
    by_hand = [masquerade.format("D", ""), masquerade.format("A", "--random-fully")]
    assert net.run("home-a", "sh", "-ec", "; ".join(by_hand)).returncode == 0
    look_for_a_direct_path(net, A, B)

    found, measured = explained(net), explained(net, measuring=lambda _: None)

    assert (found.expected.path, found.path.kind, found.agrees) == ("direct", "relay", False)
    [seen] = causes(found)
    assert seen.startswith("home-a is called endpoint-independent, and yet 192.168.1.10:41641 has ")
    [cause] = [each for each in measured.findings if each.weight == "cause"]
    assert cause.sentence == "home-a is not what it is called"
    assert cause.evidence[0] == (
        "mapping: declared endpoint-independent, measured address-and-port-dependent"
    )


def test_one_easy_nat_is_enough_and_the_hard_one_is_not_blamed(lab: StartLab) -> None:
    net = lab("easy-hard")
    direct(net)

    found = explained(net)

    assert (found.expected.rule, found.agrees, causes(found)) == ("D2", True, [])
    assert text(found).splitlines()[1] == "expected: direct (rule D2): as it is"


def test_of_wireguard_go_the_routers_tell(lab: StartLab) -> None:
    net = lab("plain-wireguard")
    net.run("wg-in", "ping", "-c1", "-W5", "100.64.2.20")

    found = explained(net, "wg-in", "node-b")
    apart = explained(net, "node-a", "wg-in")

    assert (found.path.kind, found.path.via) == ("direct", "192.0.2.10:41641")
    assert (found.path.seen, found.agrees) == ("the flows of home-b", True)
    assert (apart.expected.path, apart.agrees) == ("none", True)
    assert causes(apart)[0].startswith("neither node-a nor wg-in is on the internet")


def test_of_somebody_elses_puncher_too(lab: StartLab) -> None:
    words: dict[str, Any] = {"relay.nyc.args": ["--stun-for-all"]}
    for me, other in ((A, B), (B, A)):
        places = ["--stun", "nyc.derp.example:3478", "--meet", "meet:7000"]
        words[f"host.{me}.runs"] = "command"
        words[f"host.{me}.argv"] = [*HANDSHAKER, "punch", me, other, *places]
    net = lab("hard-pair", set=words, add=MEETING_PLACE)
    for router in ("home-a", "home-b"):
        dropped = "iptables-save -c | grep -q '^\\[[1-9].*nobody inside asked for it'"
        net.run(router, "sh", "-c", f"until {dropped}; do sleep 0.05; done")

    found = explained(net)

    assert (found.path.kind, found.expected.rule, found.agrees) == ("none", "R4b", True)
    for end, near, far in ((A, "home-a", "home-b"), (B, "home-b", "home-a")):
        [told] = [each for each in found.findings if each.about == end]
        assert told.sentence.startswith(f"{end} has sent ")
        assert told.sentence.endswith(f" ({far}): no packets came back")
        left, dropped = told.evidence
        assert left.startswith(f"{near}: it left from 203.0.113.")
        assert ", and nyc knows it as 203.0.113." in left
        assert dropped.startswith(f"{far}: ")
        assert "nobody inside asked for it (iptables: -A INPUT -i wan0 -j DROP)" in dropped


# --- helpers


def explained(
    net: Net, a: str = A, b: str = B, measuring: Callable[[str], None] | None = None
) -> Explanation:
    return explain(gather(net.lab, a, b, measuring))


def causes(found: Explanation) -> list[str]:
    return [each.sentence for each in found.findings if each.weight == "cause"]


def look_for_a_direct_path(net: Net, *seen_outside: str) -> None:
    """Until each that a relay sees has been called there and the calls' pings are at the routers."""
    relayed(net)
    for end, other in ((A, B), (B, A)):
        if end in seen_outside:
            seen = net.wait_for_event(end, "netcheck", WITHIN, udp=True)
            told = {"peer": end, "direction": "received"}
            net.wait_for_event(other, "call_me_maybe", WITHIN, since=seen["at"], **told)
    relayed(net)  # there, back and there again: a ping has met the other's router long before


def relayed(net: Net) -> None:
    done = net.lab.ping(A, B, count=1, timeout=WITHIN, json=True)
    kinds = [json.loads(line).get("kind") for line in done.stdout.splitlines()]
    assert kinds == ["relay"], done.stdout + done.stderr


def direct(net: Net) -> None:
    done = net.lab.ping(A, B, until_direct=True, timeout=WITHIN)
    assert done.returncode == 0, done.stdout + done.stderr


def apply(net: Net, remedy: Remedy) -> None:
    command, _, *words = shlex.split(remedy.command)
    match command, words:
        case "lab.nat", [router, "--profile", profile]:
            net.set_nat(router, profile)
        case "lab.link", [link, "--loss", loss]:
            net.lab.link(link, loss=loss)
        case "lab.restore", [a, b]:
            net.restore(a, b)
        case _:
            raise AssertionError(remedy.command)
