"""What the kernel is told about queues, as pyroute2 reads it: netem is in few kernels of test machines."""

from __future__ import annotations

import struct
import sys
from typing import Any

import pyroute2  # noqa: F401  (whole before its parts: the lab takes some of those without it)
import pytest
from pyroute2.netlink.rtnl.tcmsg import sched_netem, tcmsg
from pyroute2.netlink.rtnl.tcmsg.common import tick_in_usec

from lab.world.netlink import Request
from lab.world.qdisc import NOTHING, Egress, change

ROOT, FIRST_CHILD = 0xFFFFFFFF, 0x10001
NEW, DELETE = 36, 37


def read(request: Request) -> Any:
    header = struct.pack("=IHHII", 16 + len(request.body), request.kind, request.flags, 0, 0)
    message = tcmsg(header + request.body)
    message.decode()
    return message


def options(request: Request) -> Any:
    return read(request).get_attr("TCA_OPTIONS")


def test_a_rate_is_a_tbf_at_the_root() -> None:
    [request] = change("home-a", "wan0", 2, NOTHING, Egress(rate=20_000_000))

    message = read(request)
    assert (message["index"], message["parent"]) == (2, ROOT)
    assert message.get_attr("TCA_KIND") == "tbf"
    parameters = options(request).get_attr("TCA_TBF_PARMS")
    assert parameters["rate"] == 2_500_000
    assert parameters["limit"] == 2_500_000 // 20 + 15_000
    assert parameters["buffer"] == pytest.approx(15_000 / 2_500_000 * 1e6 * tick_in_usec, abs=1)


def test_a_delay_is_netem_and_keeps_the_order() -> None:
    [request] = change("home-a", "wan0", 2, NOTHING, Egress(delay=0.04, jitter=0.005))

    assert read(request).get_attr("TCA_KIND") == "netem"
    told = options(request)
    assert told["delay"] == 40_000 * tick_in_usec
    assert told["jitter"] == 5_000 * tick_in_usec
    assert (told["limit"], told["loss"], told["duplicate"], told["gap"]) == (100_000, 0, 0, 0)
    assert told.get_attr("TCA_NETEM_RATE")["rate"] == 4_000_000_000
    assert told.get_attr("TCA_NETEM_REORDER") is None


def test_netem_reorders_when_it_is_asked_to() -> None:
    [request] = change("home-a", "wan0", 2, NOTHING, Egress(delay=0.04, reorder=0.25))

    told = options(request)
    assert told["gap"] == 1
    assert told.get_attr("TCA_NETEM_REORDER")["prob_reorder"] == round(0.25 * 0xFFFFFFFF)
    assert told.get_attr("TCA_NETEM_RATE") is None


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        (Egress(delay=0.04), {"delay": 40_000}),
        (Egress(delay=60.0), {"delay": 60_000_000}),  # the longest there is
        (Egress(delay=0.000_1), {"delay": 100}),
        (
            Egress(delay=0.04, jitter=0.005),
            {"delay": 40_000, "jitter": 5_000, "rate": 4_000_000_000},
        ),
        (Egress(delay=0.04, reorder=0.2), {"delay": 40_000, "prob_reorder": 20}),
        (Egress(delay=0.04, reorder=1.0), {"delay": 40_000, "prob_reorder": 100}),
        (
            Egress(delay=0.04, jitter=0.04, reorder=0.2),
            {"delay": 40_000, "jitter": 40_000, "prob_reorder": 20, "rate": 4_000_000_000},
        ),
    ],
)
def test_netem_is_told_what_pyroute2_would_tell_it(wanted: Egress, written: dict[str, int]) -> None:
    [request] = change("home-a", "wan0", 2, NOTHING, wanted)

    told = sched_netem.get_parameters({"limit": 100_000, **written})
    message = tcmsg()
    message["index"], message["handle"], message["parent"] = 2, 0x10000, ROOT
    message["attrs"] = [["TCA_KIND", "netem"], ["TCA_OPTIONS", told]]
    message.encode()
    assert request.body.hex(" ", 4) == bytes(message.data[16:]).hex(" ", 4)
    assert request.flags == 0x400 | 0x100  # NLM_F_CREATE | NLM_F_REPLACE


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        # struct tc_netem_qopt: latency and jitter in ticks of 64 ns, limit in packets, loss, gap, duplicate
        (Egress(delay=0.04), "68890900 a0860100 00000000 00000000 00000000 00000000"),
        (
            Egress(delay=0.064, jitter=0.001),
            "40420f00 a0860100 00000000 00000000 00000000 093d0000",
        ),
        (Egress(delay=0.04, reorder=1.0), "68890900 a0860100 00000000 01000000 00000000 00000000"),
    ],
)
@pytest.mark.skipif(sys.byteorder == "big", reason="written down for little-endian machines")
def test_the_options_of_netem_begin_with_the_kernels_own_struct(
    wanted: Egress, written: str
) -> None:
    [request] = change("home-a", "wan0", 2, NOTHING, wanted)

    start = 20 + 12 + 4  # after tcmsg, the attribute "netem", and the options' own header
    assert request.body[start : start + 24].hex(" ", 4) == written


def test_a_rate_beside_a_delay_hangs_below_it() -> None:
    delay, rate = change("home-a", "wan0", 2, NOTHING, Egress(rate=10**6, delay=0.04))

    assert (read(delay)["handle"], read(delay)["parent"]) == (0x10000, ROOT)
    assert read(rate)["parent"] == FIRST_CHILD


def test_new_numbers_replace_the_old_in_place_and_another_make_needs_a_fresh_start() -> None:
    slow, fast, late = Egress(rate=10**6), Egress(rate=10**7), Egress(delay=0.01)

    assert [each.kind for each in change("home-a", "wan0", 2, slow, fast)] == [NEW]
    assert [each.kind for each in change("home-a", "wan0", 2, slow, late)] == [DELETE, NEW]
    assert [each.kind for each in change("home-a", "wan0", 2, slow, NOTHING)] == [DELETE]
