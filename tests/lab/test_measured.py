"""From what was seen to words, and where words disagree: no lab needed."""

from __future__ import annotations

import pytest

from lab.judge.measured import (
    Disagreement,
    Measured,
    Span,
    compare,
    filtering_of,
    mapping_of,
    ports_of,
)
from lab.judge.stage import Endpoint
from lab.model.nat import PRESETS

INSIDE = Endpoint("192.168.1.10", 5000)
A, B, C, D = (Endpoint("203.0.113.10", port) for port in (5000, 6001, 7002, 8003))


@pytest.mark.parametrize(
    ("seen", "mapping"),
    [
        ([[A, A], [A, A]], "endpoint-independent"),
        ([[A, A], [B, B]], "address-dependent"),
        ([[A, B], [C, D]], "address-and-port-dependent"),
        ([[A, A], [A, B]], "address-and-port-dependent"),
        ([[INSIDE, INSIDE], [INSIDE, INSIDE]], "none"),
    ],
)
def test_mapping_is_named_by_what_moves_it(seen: list[list[Endpoint]], mapping: str) -> None:
    assert mapping_of(INSIDE, seen) == mapping


def test_filtering_is_named_by_the_strangest_who_gets_in() -> None:
    assert filtering_of(other_address=True, other_port=True) == "endpoint-independent"
    assert filtering_of(other_address=False, other_port=True) == "address-dependent"
    assert filtering_of(other_address=False, other_port=False) == "address-and-port-dependent"


@pytest.mark.parametrize(
    ("outside", "ports"),
    [
        ([1000, 1001, 1007, 1002], "preserve"),
        ([1000, 1001, 40007, 1002], "preserve"),  # but for one that was taken
        ([40000, 40001, 40002, 40003], "sequential"),
        ([40000, 40003, 40004, 40009], "sequential"),  # others took some between
        ([41998, 41999, 40000, 40001], "sequential"),  # the last is followed by the first
        ([40008, 41641, 40005, 40106], "parity"),
        ([40008, 41640, 40005, 40106], "random"),
    ],
)
def test_ports_are_named_by_their_order(outside: list[int], ports: str) -> None:
    assert ports_of(list(zip([1000, 1001, 1007, 1002], outside, strict=True))) == ports


def test_a_disagreement_says_both_sides() -> None:
    measured = Measured(udp=True, mapping="address-dependent", hairpin=True)

    assert compare(PRESETS["port-restricted-cone"], measured) == [
        Disagreement("mapping", "endpoint-independent", "address-dependent"),
        Disagreement("hairpin", "no", "yes"),
    ]
    assert str(compare(PRESETS["cgnat"], measured)[0]) == (
        "mapping: declared endpoint-independent, measured address-dependent"
    )


def test_what_was_not_measured_disagrees_with_nothing() -> None:
    for nat in PRESETS.values():
        assert compare(nat, Measured()) == []


def test_blocked_udp_is_all_there_is_to_say() -> None:
    assert compare(PRESETS["udp-blocked"], Measured(udp=False)) == []
    assert [each.word for each in compare(PRESETS["symmetric"], Measured(udp=False))] == ["udp"]
    assert [each.word for each in compare(PRESETS["udp-blocked"], Measured(udp=True))] == ["udp"]


def test_one_external_address_has_no_pool() -> None:
    measured = Measured(udp=True, pool="paired")

    assert compare(PRESETS["cgnat-hard"], measured, wan_addresses=1) == []
    assert [each.word for each in compare(PRESETS["cgnat-hard"], measured, wan_addresses=2)] == [
        "pool"
    ]


@pytest.mark.parametrize(
    ("timeout", "agrees"),
    [
        (Span(4.75, 5.25), True),
        (Span(5.75, 6.25), True),  # conntrack counts whole seconds
        (Span(6.25, 6.75), False),
        (Span(1.75, 2.25), False),
        (Span(4.0, None), True),  # not watched for longer
        (Span(9.0, None), False),
    ],
)
def test_a_life_agrees_within_a_second(timeout: Span, agrees: bool) -> None:
    found = compare(PRESETS["short-timer"], Measured(udp=True, timeout=timeout))

    assert (found == []) == agrees
