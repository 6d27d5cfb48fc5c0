"""Links, cuts and plans as they are typed: each flag reaches the lab, and the answer says what serves it."""

from __future__ import annotations

import pytest
from invoke.collection import Collection

from lab import commands, program
from tests.lab.conftest import Up
from tests.lab.plans import B_ADDRESS, PING, A, B, two_hosts

pytestmark = pytest.mark.needs_lab

Typed = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("flags", "changed", "is_now"),
    [
        (
            ["--delay", "20ms", "--jitter", "5ms"],
            ["delay 0 ms -> 20 ms (both ways)", "jitter 0 ms -> 5 ms (both ways)"],
            "delay 20 ms, jitter 5 ms (both ways)",
        ),
        (
            ["--loss", "2%", "--burst", "3"],
            ["loss 0% -> 2% (both ways)", "burst 1 -> 3 (both ways)"],
            "loss 2%, burst 3 (both ways)",
        ),
        (
            ["--rate", "20mbit", "--way", "up"],
            ["rate none -> 20 Mbit/s (up)"],
            "rate 20 Mbit/s (up)",
        ),
        (
            ["--delay", "20ms", "--reorder", "10%", "--way", "down"],
            ["delay 0 ms -> 20 ms (down)", "reorder 0% -> 10% (down)"],
            "delay 20 ms, reorder 10% (down)",
        ),
        (
            ["--duplicate", "1%", "--mtu", "1400"],
            ["duplicate 0% -> 1% (both ways)", "mtu as it came -> 1400"],
            "duplicate 1% (both ways); mtu 1400",
        ),
    ],
    ids=["delay, jitter", "loss, burst", "rate", "reorder", "duplicate, mtu"],
)
def test_each_flag_of_a_link_bends_it_and_clean_ends_that(
    up: Up, capsys: Typed, flags: list[str], changed: list[str], is_now: str
) -> None:
    lab = up(two_hosts())

    *told, in_force = typed(capsys, "lab.link", "two", A, *flags)

    link = lab.links()[0]
    by = f"  [{', '.join(link['by'])}]"
    assert told == [f"{A}: {each}" for each in changed]
    assert in_force == f"in force, for open connections too; it is now: {is_now}{by}"
    assert link["words"] == is_now
    assert by != "  []"
    assert typed(capsys, "lab.link", "two", A, "--clean")[-1].endswith(
        "it is now: perfect" if "--mtu" not in flags else "it is now: mtu 1400"
    )


def test_a_link_is_pulled_and_put_back_by_two_flags(up: Up, capsys: Typed) -> None:
    lab = up(two_hosts())

    assert typed(capsys, "lab.link", "two", A, "--down")[0] == "node-a: unplugged"
    assert lab.run(A, [*PING, B_ADDRESS]).returncode != 0
    assert typed(capsys, "lab.link", "two", A, "--up")[0] == "node-a: plugged in"
    assert lab.run(A, [*PING, B_ADDRESS]).returncode == 0


@pytest.mark.parametrize(
    ("flags", "arrow", "does"),
    [
        ([], "<->", "dropped"),
        (["--one-way"], "->", "dropped"),
        (["--reset"], "<->", "TCP is reset, the rest dropped"),
        (["--one-way", "--reset"], "->", "TCP is reset, the rest dropped"),
    ],
)
def test_each_flag_of_a_cut_is_what_is_cut(
    up: Up, capsys: Typed, flags: list[str], arrow: str, does: str
) -> None:
    lab = up(two_hosts())

    told = typed(capsys, "lab.cut", "two", A, B, *flags)

    a_sends, b_sends = (
        "  middle/node-a, ingress: to 10.0.2.2",
        "  middle/node-b, ingress: to 10.0.1.2",
    )
    where = [a_sends] if "--one-way" in flags else [a_sends, b_sends]
    assert told == [f"{A} {arrow} {B}: {does}, of open flows too", *where]
    [cut] = lab.cuts()
    assert (cut["one_way"], cut["reset"]) == ("--one-way" in flags, "--reset" in flags)
    assert lab.run(A, [*PING, B_ADDRESS]).returncode == 1
    typed(capsys, "lab.restore", "two", A, B)
    assert lab.run(A, [*PING, B_ADDRESS]).returncode == 0


@pytest.mark.parametrize(
    ("nat", "rules"),
    [
        (
            "port-restricted-cone",
            "rules (iptables): iptables: MASQUERADE keeps one mapping for each port of the one "
            "inside host",
        ),
        (
            "full-cone",
            "rules (nftables): nftables, because endpoint-independent filtering must find the "
            "inside host of an external endpoint",
        ),
    ],
)
def test_a_plan_says_which_language_serves_a_router_and_why(
    capsys: Typed, nat: str, rules: str
) -> None:
    told = typed(capsys, "lab.plan", "nat-pair", "--set", f"router.home-a.nat={nat}")

    home_a = told[told.index("home-a (router)") : told.index("home-b (router)")]
    assert [line for line in home_a if line.startswith("  rules")] == [f"  {rules}"]


def test_a_plan_and_the_doctor_say_alike_what_bends_links_here(capsys: Typed) -> None:
    [served] = [line for line in typed(capsys, "lab.doctor") if "bent links" in line]
    yes, _, by = served.partition("bent links")
    bent, straight = typed(capsys, "lab.plan", "lossy"), typed(capsys, "lab.plan", "nat-pair")

    assert yes.strip() == "yes"
    assert [word.partition(": ")[0] for word in by.strip().split(", ")] == [
        *("delay", "loss", "burst", "rate", "duplicate", "icmp")
    ]
    assert [line for line in bent if "made here" in line] == [f"  made here by {by.strip()}"]
    assert [line for line in straight if "made here" in line] == []


def typed(capsys: Typed, *words: str) -> list[str]:
    """The lines of the answer, of a command that did it: all others end in SystemExit."""
    program.run(Collection(lab=commands.collection()), ["punchlab", *words])
    return capsys.readouterr().out.splitlines()
