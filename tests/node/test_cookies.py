"""The door of the handshakes: MAC1 always, MAC2 under load, a fair share for each source."""

from collections import Counter

import pytest

from node.core.cookies import CookieChecker, CookieJar
from node.core.device_outputs import Reply
from node.core.door import Door
from node.core.limits import HANDSHAKE_BURST, LOAD_HANDSHAKES, SOURCES_REMEMBERED, Limits
from node.core.load import LoadMeter, RateLimiter
from node.core.noise import hash_of, mac
from node.keys import NodePublic
from node.wire.endpoint import Endpoint
from node.wire.wireguard import CookieReply, parse
from tests.node.vectors import VECTORS

WG = VECTORS["wireguard"]
COOKIE = WG["cookie"]
A = NodePublic(bytes.fromhex(VECTORS["keys"]["nodeA"]["public"]))
B = NodePublic(bytes.fromhex(VECTORS["keys"]["nodeB"]["public"]))
INITIATION = bytes.fromhex(WG["initiation"]["message"])
SOURCE = bytes.fromhex(COOKIE["source_bytes"])
SECRET = bytes.fromhex(COOKIE["responder_secret"])
NONCE = bytes.fromhex(COOKIE["nonce"])


def test_the_cookie_reply_of_the_example() -> None:
    assert mac(SECRET, SOURCE).hex() == COOKIE["cookie"]
    assert hash_of(b"cookie--", B.raw).hex() == COOKIE["cookie_key"]
    assert checker().reply(INITIATION, SOURCE, 0.0).hex() == COOKIE["reply_message"]


def test_the_next_message_carries_the_cookie() -> None:
    jar = CookieJar(B, Limits())
    assert jar.sign(INITIATION, 0.0) == INITIATION
    assert jar.consume(example_reply(), 0.1)
    assert jar.sign(INITIATION, 0.2).hex() == COOKIE["initiation_with_mac2"]


def test_the_checker_knows_its_cookie_again() -> None:
    signed = bytes.fromhex(COOKIE["initiation_with_mac2"])
    ours = checker()
    assert not ours.has_mac2(signed, SOURCE, 0.0)  # there is no secret yet
    ours.reply(INITIATION, SOURCE, 0.0)
    assert ours.has_mac2(signed, SOURCE, 119.9)
    assert not ours.has_mac2(signed, SOURCE, 120.0)
    assert not ours.has_mac2(signed, b"elsewhere", 0.0)
    assert not ours.has_mac2(INITIATION, SOURCE, 0.0)


def test_a_cookie_is_used_until_it_might_expire_on_the_way() -> None:
    jar = CookieJar(B, Limits())
    jar.sign(INITIATION, 0.0)
    jar.consume(example_reply(), 0.0)
    assert jar.sign(INITIATION, 114.9)[-16:].hex() == COOKIE["mac2"]
    assert jar.sign(INITIATION, 115.0)[-16:] == bytes(16)


def test_a_reply_to_nothing_we_sent_is_refused() -> None:
    jar = CookieJar(B, Limits())
    assert not jar.consume(example_reply(), 0.0)
    jar.sign(INITIATION[:10] + b"x" + INITIATION[11:], 0.0)
    assert not jar.consume(example_reply(), 0.0)


def test_a_reply_counts_once() -> None:
    jar = CookieJar(B, Limits())
    jar.sign(INITIATION, 0.0)
    assert jar.consume(example_reply(), 0.0)
    assert not jar.consume(example_reply(), 100.0)


@pytest.mark.parametrize("at", [4, 100, 120])
def test_mac1_covers_the_message(at: int) -> None:
    assert checker().has_mac1(INITIATION)
    broken = INITIATION[:at] + bytes([INITIATION[at] ^ 1]) + INITIATION[at + 1 :]
    assert not checker().has_mac1(broken)


def test_load_begins_with_a_burst_and_ends_a_second_later() -> None:
    meter = LoadMeter()
    assert not any(meter.handshake_received(0.5) for _ in range(LOAD_HANDSHAKES))
    assert meter.handshake_received(0.6)
    assert meter.handshake_received(1.55)
    assert not meter.handshake_received(1.7)


def test_a_steady_trickle_is_no_load() -> None:
    meter = LoadMeter()
    assert not any(meter.handshake_received(i / 100) for i in range(1000))


def test_each_source_has_a_burst_and_a_rate() -> None:
    rate = RateLimiter()
    assert [rate.allow("a", 0.0) for _ in range(HANDSHAKE_BURST + 1)] == [True] * 5 + [False]
    assert rate.allow("b", 0.0)
    assert not rate.allow("a", 0.04)
    assert rate.allow("a", 0.06)  # 20 a second
    assert [rate.allow("a", 10.0) for _ in range(HANDSHAKE_BURST + 1)] == [True] * 5 + [False]


def test_a_flood_of_sources_is_no_flood_of_memory() -> None:
    rate = RateLimiter()
    for i in range(3 * SOURCES_REMEMBERED):
        assert rate.allow(f"{i}", 0.0)
    assert len(rate) <= SOURCES_REMEMBERED


def test_ports_of_one_address_share_its_allowance() -> None:
    counters: Counter[str] = Counter()
    door = Door(B, random=fixed_random, limits=Limits(), counters=counters)
    for _ in range(LOAD_HANDSHAKES):
        assert door.admit(INITIATION, "anyone", 0.0) is True
    admitted = [signed_from(door, Endpoint("192.0.2.7", port)) for port in range(1, 7)]
    assert admitted == [True] * 5 + [False]
    assert counters == {"cookie_sent": 6, "handshake_rate": 1}


def signed_from(door: Door, source: Endpoint) -> bool | Reply:
    """One sender's dialogue under load: an initiation, a cookie, the initiation with it."""
    jar = CookieJar(B, Limits())
    reply = door.admit(jar.sign(INITIATION, 0.0), source, 0.0)
    assert isinstance(reply, Reply)
    assert reply.to == source
    cookie = parse(reply.datagrams[0])
    assert isinstance(cookie, CookieReply)
    assert jar.consume(cookie, 0.0)
    return door.admit(jar.sign(INITIATION, 0.0), source, 0.0)


def fixed_random(count: int) -> bytes:
    return {32: SECRET, 24: NONCE}[count]


def checker() -> CookieChecker:
    return CookieChecker(B, fixed_random, Limits())


def example_reply() -> CookieReply:
    reply = parse(bytes.fromhex(COOKIE["reply_message"]))
    assert isinstance(reply, CookieReply)
    return reply
