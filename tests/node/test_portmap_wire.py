"""What a node says to its router by NAT-PMP and PCP, and what routers answer, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wire import natpmp, pcp
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed

NONCE = bytes.fromhex("0102030405060708090a0b0c")
OWN = Endpoint("192.168.1.10", 41641)
OWN_ON_WIRE = "00000000000000000000ffffc0a8010a"
ANY_ON_WIRE = "00000000000000000000ffff00000000"

NATPMP_ANSWERS = [
    ("0080 0000 0000002a 2c0c000a", natpmp.AddressAnswer(0, 42, "44.12.0.10")),
    (
        "0081 0000 0000002a a2a9 14e9 00001c20",
        natpmp.MapAnswer(0, 42, internal_port=41641, external_port=5353, lifetime=7200),
    ),
    ("0080 0003 00000001 00000000", natpmp.AddressAnswer(3, 1, "0.0.0.0")),
    ("0081 0002 00000007", natpmp.MapAnswer(2, 7, 0, 0, 0)),  # cut after its head
    ("0081 0000 0000002a a2a9 14e9 00001c20 ffff", natpmp.MapAnswer(0, 42, 41641, 5353, 7200)),
]

PCP_ANSWERS = [
    ("02 80 00 00 00000000 0000002a 000000000000000000000000", pcp.Announcement(0, 42)),
    (
        "02 81 00 00 00001c20 0000002a 000000000000000000000000"
        "0102030405060708090a0b0c 11 000000 a2a9 14e9 00000000000000000000ffff2c0c000a",
        pcp.MapAnswer(0, 42, 7200, NONCE, 41641, Endpoint("44.12.0.10", 5353)),
    ),
    (
        "02 81 00 08 0000001e 00000001 000000000000000000000000"
        "0102030405060708090a0b0c 11 000000 a2a9 0000 00000000000000000000ffff00000000",
        pcp.MapAnswer(8, 1, 30, NONCE, 41641, Endpoint("0.0.0.0", 0)),
    ),
]


def test_a_nat_pmp_request_has_2_bytes_or_12() -> None:
    assert natpmp.address_request() == bytes.fromhex("0000")
    assert natpmp.map_request(41641, 5353, 7200).hex() == "00010000a2a914e900001c20"
    assert natpmp.map_request(41641, 0, 0).hex() == "00010000a2a9000000000000"


@pytest.mark.parametrize(("datagram", "answer"), NATPMP_ANSWERS)
def test_a_nat_pmp_answer_is_read(
    datagram: str, answer: natpmp.AddressAnswer | natpmp.MapAnswer
) -> None:
    assert natpmp.parse_answer(bytes.fromhex(datagram)) == answer


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        ("", "not a NAT-PMP"),
        ("0080 0000 000000", "not a NAT-PMP"),
        ("0280 0000 0000002a 2c0c000a", "not a NAT-PMP"),  # PCP's version
        ("0000 0000 0000002a 2c0c000a", "opcode 0"),  # a request
        ("0082 0000 0000002a a2a9 14e9 00001c20", "opcode 130"),  # of TCP
        ("0080 0000 0000002a 2c0c00", "11 bytes"),
        ("0081 0000 0000002a a2a9 14e9", "12 bytes"),
    ],
)
def test_what_is_no_nat_pmp_answer_is_malformed(datagram: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        natpmp.parse_answer(bytes.fromhex(datagram))


def test_a_pcp_request_has_our_own_address_in_its_head() -> None:
    head = "02 00 0000 00000000" + OWN_ON_WIRE
    assert pcp.announce_request("192.168.1.10") == bytes.fromhex(head)
    wanted = Endpoint("0.0.0.0", 5353)
    body = "0102030405060708090a0b0c 11 000000 a2a9 14e9" + ANY_ON_WIRE
    assert pcp.map_request(OWN, NONCE, wanted, 7200) == bytes.fromhex(
        "02 01 0000 00001c20" + OWN_ON_WIRE + body
    )


@pytest.mark.parametrize(("datagram", "answer"), PCP_ANSWERS)
def test_a_pcp_answer_is_read(datagram: str, answer: pcp.Announcement | pcp.MapAnswer) -> None:
    assert pcp.parse_answer(bytes.fromhex(datagram)) == answer


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (bytes(24), "not a PCP"),
        (b"\x02\x80" + bytes(21), "not a PCP"),
        (b"\x02\x80" + bytes(1099), "not a PCP"),  # longer than any message may be
        (b"\x02\x01" + bytes(58), "opcode 1"),  # a request
        (b"\x02\x82" + bytes(58), "opcode 130"),  # PEER
        (b"\x02\x81" + bytes(57), "59 bytes"),
        (b"\x02\x81" + bytes(22 + 12) + b"\x06" + bytes(23), "protocol 6"),  # TCP
    ],
)
def test_what_is_no_pcp_answer_is_malformed(datagram: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        pcp.parse_answer(datagram)


@given(st.integers(0, 255), st.sampled_from([0, 1, 128, 129, 130]), st.binary(max_size=80))
def test_random_answers_are_malformed_at_worst(version: int, opcode: int, rest: bytes) -> None:
    for parse, own_version in ((natpmp.parse_answer, 0), (pcp.parse_answer, 2)):
        for first in (version, own_version):
            try:
                parse(bytes([first, opcode]) + rest)
            except Malformed:
                continue
