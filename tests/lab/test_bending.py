"""What a link is asked to become: words, what makes no sense, and where in the lab each part is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import CannotHere
from lab.model.bending import Nonsense, bent, describe, differences, parse_change
from lab.model.errors import TopologyError
from lab.model.layout import plan_of
from lab.model.link import PERFECT, LinkQuality, Shape
from lab.model.plan import Plan
from lab.model.topology import load
from lab.world.backend import Backend
from lab.world.bends import Bends, Wait, bends_of
from lab.world.qdisc import Egress

LATE = LinkQuality(Shape(delay=0.04), Shape(delay=0.04))
BAD = LinkQuality(Shape(delay=0.04, jitter=0.005), Shape(delay=0.04, loss=0.02), 1400)


def changed(
    before: LinkQuality, way: str = "both", clean: bool = False, **words: object
) -> LinkQuality:
    return bent(before, parse_change(way, clean, words))


def test_what_is_not_named_keeps_its_value() -> None:
    after = changed(BAD, "up", delay="10ms")

    assert after == replace(BAD, up=Shape(delay=0.01, jitter=0.005))


def test_without_a_direction_both_change() -> None:
    after = changed(BAD, loss="5%", rate="20mbit")

    assert (after.up.loss, after.down.loss) == (0.05, 0.05)
    assert (after.up.rate, after.down.rate) == (20_000_000, 20_000_000)
    assert changed(after, rate="none").up.rate is None


def test_jitter_goes_with_its_delay() -> None:
    assert changed(BAD, delay="0ms").up == Shape()


def test_clean_forgets_all_but_what_is_named() -> None:
    assert changed(BAD, clean=True, loss="1%") == LinkQuality(
        Shape(loss=0.01), Shape(loss=0.01), 1400
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"delay": "40"}, 'delay: "40" is not a quantity such as "20ms"'),
        ({"delay": "2m"}, "delay: is longer than 60 s"),
        ({"loss": "101%"}, 'loss: "101%" is more than 100%'),
        ({"jitter": "50ms"}, "jitter: is longer than the delay that it varies"),
        ({"burst": "3"}, "burst: does nothing without loss"),
        ({"burst": "none", "loss": "1%"}, 'burst: "none" is not a whole number from 1 to 1000'),
        (
            {"burst": "3", "loss": "90%"},
            "burst: 90% cannot be lost in so short bursts (bursts of 9 packets at the least)",
        ),
        ({"delay": "0ms", "reorder": "5%"}, "reorder: does nothing without a delay"),
        ({"rate": "50gbit"}, "rate: is more than 34gbit (leave it out: nothing here is as fast)"),
        ({"mtu": "9"}, 'mtu: "9" is not a whole number from 576 to 65535'),
        ({"dealy": "1ms"}, 'dealy: no such field (did you mean "delay"?)'),
    ],
)
def test_nonsense_is_told_in_one_line(words: dict[str, str], told: str) -> None:
    with pytest.raises(Nonsense) as caught:
        bent(LATE, parse_change("both", False, words))

    assert str(caught.value) == told


def test_a_topology_is_told_the_same(tmp_path: Path) -> None:
    file = tmp_path / "far.toml"
    file.write_text('title = "x"\n[host.far]\n[link.far]\nloss = "90%"\nburst = 3\n')

    with pytest.raises(
        TopologyError, match=r"link.far.burst: 90% cannot be lost in so short bursts"
    ):
        load(str(file))


def test_a_direction_that_is_none_is_told() -> None:
    with pytest.raises(Nonsense, match='"left" is no direction'):
        changed(PERFECT, "left", delay="1ms")
    with pytest.raises(Nonsense, match="both directions"):
        changed(PERFECT, "up", mtu="1400")


def test_a_change_and_a_link_in_words() -> None:
    after = changed(BAD, "up", delay="10ms", rate="1.5mbit", mtu=None)

    assert differences(BAD, after) == ["delay 40 ms -> 10 ms (up)", "rate none -> 1.5 Mbit/s (up)"]
    assert differences(BAD, changed(BAD, delay="1ms", jitter="0ms", mtu="1280")) == [
        "delay 40 ms -> 1 ms (both ways)",
        "jitter 5 ms -> 0 ms (up)",
        "mtu 1400 -> 1280",
    ]
    assert describe(BAD) == "delay 40 ms, jitter 5 ms (up); delay 40 ms, loss 2% (down); mtu 1400"
    assert describe(PERFECT) == "perfect"


# --- where it is made


def where(
    link: str, quality: LinkQuality, netem: bool = False, topology: str = "same-lan"
) -> dict[str, Bends]:
    plan = plan_of(load(topology))
    return bends_of(
        plan, {wire.name: quality if wire.name == link else PERFECT for wire in plan.wires}, netem
    )


def place(plan: Plan, link: str) -> int:
    return [wire.name for wire in plan.wires].index(link)


def test_a_packet_up_waits_where_it_arrives_and_one_down_where_it_leaves_the_internet() -> None:
    up, down = Shape(delay=0.01), Shape(delay=0.02)
    number = 2 * place(plan_of(load("same-lan")), "home")

    bends = where("home", LinkQuality(up, down))

    waits = [Wait("home", number, up), Wait("home", number + 1, down, leaves=True)]
    assert bends == {"internet": Bends(waits=waits), "home": Bends()}


def test_a_packet_from_a_lan_waits_at_all_who_can_hear_it() -> None:
    shape = Shape(delay=0.01)
    number = 2 * place(plan_of(load("same-lan")), "node-a")
    sender = ("node-a", "eth0")

    bends = where("node-a", LinkQuality(up=shape))

    assert bends["home"].waits == [Wait("lan0", number, shape, sender)]
    assert bends["node-b"].waits == [Wait("eth0", number, shape, sender)]
    assert "internet" not in bends


def test_losses_are_where_packets_arrive_and_rates_where_they_leave() -> None:
    bends = where("nyc", LinkQuality(up=Shape(loss=0.1, rate=10**6, duplicate=0.2)))

    assert bends["internet"] == Bends(losses={"nyc": 0.1})
    assert bends["nyc"] == Bends(
        copies={"eth0": 0.2}, queues={"eth0": Egress(rate=10**6)}, singles={"eth0"}
    )


def test_a_black_hole_is_where_packets_arrive() -> None:
    bends = where("nyc", LinkQuality(down=Shape(icmp="drop")))

    assert bends == {"internet": Bends(), "nyc": Bends(black_holes={"eth0"})}


def test_losses_in_bursts_are_the_delay_lines() -> None:
    bends = where("nyc", LinkQuality(up=Shape(loss=0.1, burst=3)), netem=True)

    assert bends["internet"].losses == {}
    assert [wait.shape for wait in bends["internet"].waits] == [Shape(loss=0.1, burst=3)]


def test_with_netem_the_wait_is_spent_where_packets_leave() -> None:
    shape = Shape(delay=0.03, jitter=0.01, reorder=0.1, loss=0.2)

    bends = where("node-a", LinkQuality(up=shape), netem=True)

    assert bends["node-a"].queues == {"eth0": Egress(None, 0.03, 0.01, 0.1)}
    assert bends["home"] == Bends(losses={"node-a": 0.2})
    assert "node-b" not in bends


NOTHING = Backend(netem=False, tbf=False, queue=None, losses=False, copies=False, black_holes=False)


@pytest.mark.parametrize(
    ("shape", "lacks"),
    [
        (Shape(delay=0.1), "delay"),
        (Shape(loss=0.1), "loss"),
        (Shape(loss=0.1, burst=3), "burst"),
        (Shape(rate=10**6), "rate"),
        (Shape(duplicate=0.1), "duplicate"),
        (Shape(icmp="drop"), "black hole of ICMP errors"),
    ],
)
def test_what_no_kernel_means_can_make_is_refused(shape: Shape, lacks: str) -> None:
    with pytest.raises(
        CannotHere, match=rf"home-a: this kernel has nothing that makes a .*{lacks}"
    ):
        NOTHING.check("home-a", shape)


def test_either_way_of_delaying_is_enough() -> None:
    for enough in (replace(NOTHING, netem=True), replace(NOTHING, queue="nf_tables queue")):
        enough.check("home-a", Shape(delay=0.1))
        assert enough.means["delay"] in ("netem", "NFQUEUE")
