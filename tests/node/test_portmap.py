"""A port of the router's: found, asked for, kept, lost and given back, with every kind of router."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.portmap_outputs import Place, PortMapped, PortMappingLost, PortMappingRefused
from node.wire.endpoint import Endpoint
from tests.node.home_router import EXTERNAL, GATEWAY, HOME, OWN, WAN, Home, HomeRouter

ALL = {"nat-pmp", "pcp", "upnp"}
FOR_2_HOURS = "the router mapped it for 7200 s"

# --- found and asked ---


@pytest.mark.parametrize("protocol", ["nat-pmp", "pcp"])
def test_a_router_that_answers_is_asked_at_once(protocol: str) -> None:
    home = home_with(protocol)
    home.start()
    assert home.told == [(1000.0, PortMapped(EXTERNAL, protocol, FOR_2_HOURS))]
    assert home.core.mapped == EXTERNAL


def test_upnp_is_asked_after_a_quarter_second_of_silence_from_the_others() -> None:
    home = home_with("upnp")
    home.start()
    assert home.told == []
    home.run_until(1001.0)
    assert home.told == [(1000.25, PortMapped(EXTERNAL, "upnp", FOR_2_HOURS))]
    assert home.router.heard == ["search", "GetExternalIPAddress", "AddPortMapping 41641 for 7200"]


def test_a_router_with_all_three_is_asked_by_one() -> None:
    home = home_with(*ALL)
    home.start()
    home.run_until(1050.0)
    assert home.told == [(1000.0, PortMapped(EXTERNAL, "nat-pmp", FOR_2_HOURS))]
    assert not any("Add" in each or "pcp map" in each for each in home.router.heard)


def test_a_silent_router_is_nothing_to_tell() -> None:
    home = home_with()
    home.start()
    home.run_until(20_000.0)
    assert home.told == []
    assert home.core.mapped is None


def test_a_silent_router_is_searched_less_and_less_often() -> None:
    home = home_with("upnp")
    home.router.web = Endpoint("192.168.9.9", 80)  # not on the router: of no use
    home.start()
    home.run_until(1000.0 + 3600)
    assert len(home.router.heard) == 3 * 10  # 30, 60, 120, 240, 480 s, then every 10 minutes


def test_who_answers_to_the_third_search_is_heard() -> None:
    home = home_with("pcp")
    home.router.is_up = False
    home.start()
    home.run_until(1000.7)
    home.router.is_up = True
    home.run_until(1000.8)
    assert home.told == [(1000.75, PortMapped(EXTERNAL, "pcp", FOR_2_HOURS))]


@pytest.mark.parametrize("protocol", ["nat-pmp", "pcp"])
def test_the_external_port_is_the_router_s_choice(protocol: str) -> None:
    home = home_with(protocol)
    home.router.gives = 5353
    home.start()
    assert home.core.mapped == Endpoint(WAN, 5353)
    home.router.gives = None
    home.run_until(1000.0 + 3600)  # and at the renewal it is asked for again
    assert home.router.heard[-1] == f"{protocol} map 5353 for 7200"


def test_a_port_that_another_host_has_is_not_fought_for() -> None:
    home = home_with("upnp")
    home.router.taken = {41641}
    home.start()
    home.run_until(1001.0)
    assert home.core.mapped is not None
    assert home.core.mapped.port >= 1024
    assert [home.core.mapped.port] == list(home.router.mapped)


@pytest.mark.parametrize("error", [725, 402])
def test_a_router_that_maps_only_for_ever_is_asked_to(error: int) -> None:
    home = home_with("upnp")
    home.router.only_permanent = error
    home.start()
    home.run_until(1001.0)
    assert home.router.heard[-2:] == ["AddPortMapping 41641 for 7200", "AddPortMapping 41641 for 0"]
    assert home.core.mapped == EXTERNAL
    home.run_until(1000.25 + 3600)  # renewed all the same: routers forget when they restart
    assert home.router.heard[-1] == "AddPortMapping 41641 for 0"
    assert len(home.told) == 1


# --- kept ---


@pytest.mark.parametrize("protocol", sorted(ALL))
def test_a_mapping_is_renewed_at_half_its_life_and_nothing_is_told(protocol: str) -> None:
    home = home_with(protocol, lifetime=600)
    home.start()
    home.run_until(1000.0 + 86_400)
    assert len(home.told) == 1
    asked = [each for each in home.router.heard if each.endswith("for 600")]
    assert len(asked) == 1 + 86_400 // 300 - (protocol == "upnp")
    assert home.router.mapped[41641] > home.now


def test_a_router_that_gives_less_time_is_asked_the_sooner() -> None:
    home = home_with("nat-pmp")
    home.router.longest = 120
    home.start()
    home.run_until(1000.0 + 180)
    assert home.router.mapped[41641] == 1000.0 + 180 + 120
    assert len(home.told) == 1


@pytest.mark.parametrize("protocol", sorted(ALL))
def test_a_router_that_restarted_is_asked_again_within_a_minute(protocol: str) -> None:
    home = home_with(protocol)
    home.start()
    home.run_until(1100.0)
    home.router.restart(home.now)
    home.run_until(1170.0)
    assert list(home.router.mapped) == [41641]
    assert len(home.told) == 1  # the same endpoint: nothing that a peer must know


def test_a_restarted_router_that_gives_another_port_is_news() -> None:
    home = home_with("pcp")
    home.start()
    home.router.restart(1030.0)
    home.router.gives = 2048
    home.run_until(1070.0)
    assert home.last == PortMapped(Endpoint(WAN, 2048), "pcp", FOR_2_HOURS)


def test_an_announcement_of_a_restart_is_acted_upon_at_once() -> None:
    home = home_with("nat-pmp")
    home.start()
    home.run_until(1010.0)
    home.router.restart(home.now)
    home.handle(home.core.receive_announcement(Endpoint("192.168.1.66", 5351), home.now))
    assert list(home.router.mapped) == []
    home.handle(home.core.receive_announcement(Endpoint(GATEWAY, 5351), home.now))
    assert list(home.router.mapped) == [41641]
    assert len(home.told) == 1


def test_a_router_that_comes_up_late_is_found_by_its_announcement() -> None:
    home = home_with("pcp")
    home.router.is_up = False
    home.start()
    home.run_until(1100.0)
    home.router.is_up = True
    home.handle(home.core.receive_announcement(Endpoint(GATEWAY, 5351), home.now))
    assert home.told == [(1100.0, PortMapped(EXTERNAL, "pcp", FOR_2_HOURS))]


def test_a_router_with_a_new_address_is_a_new_endpoint() -> None:
    home = home_with("nat-pmp")
    home.start()
    home.router.wan = "44.12.0.99"
    home.run_until(1061.0)
    assert home.last == PortMapped(Endpoint("44.12.0.99", 41641), "nat-pmp", FOR_2_HOURS)


def test_a_router_whose_web_server_moved_is_found_again() -> None:
    home = home_with("upnp")
    home.start()
    home.run_until(1010.0)
    home.router.web = Endpoint(GATEWAY, 5999)
    home.router.restart(home.now)
    home.run_until(1070.0)
    assert list(home.router.mapped) == [41641]
    assert len(home.told) == 1


# --- lost ---


@pytest.mark.parametrize("protocol", sorted(ALL))
def test_a_router_that_went_silent_is_believed_until_the_time_is_over(protocol: str) -> None:
    home = home_with(protocol, lifetime=600)
    home.start()
    home.run_until(1050.0)
    home.router.is_up = False
    home.run_until(1599.0)
    assert len(home.told) == 1
    home.run_until(1700.0)
    [_, (at, lost)] = home.told
    assert at == pytest.approx(1600.0, abs=0.3)
    assert lost == PortMappingLost(protocol, "it ran out, and the router did not renew it")
    home.router.is_up = True
    home.router.restart(home.now)
    home.run_until(home.now + 700)  # and when it is back, so is the mapping
    assert home.core.mapped == EXTERNAL


def test_a_renewal_that_is_refused_ends_the_mapping() -> None:
    home = home_with("nat-pmp", lifetime=600)
    home.start()
    home.router.result = 2
    home.run_until(1310.0)
    assert home.last == PortMappingLost("nat-pmp", "the router is told not to map ports")
    assert home.core.mapped is None


@pytest.mark.parametrize(
    ("protocol", "result", "why"),
    [
        ("nat-pmp", 2, "the router is told not to map ports"),
        ("nat-pmp", 3, "the router has no address on the internet itself"),
        ("nat-pmp", 77, "the router says result 77"),
        (
            "pcp",
            8,
            "the router has nothing to map with: no port left, or its own address is not public",
        ),
        ("pcp", 12, "there is another NAT between the router and us"),
    ],
)
def test_a_refusal_is_told_in_words_and_once(protocol: str, result: int, why: str) -> None:
    home = home_with(protocol)
    home.router.result = result
    home.start()
    home.run_until(1000.0 + 7200)
    assert [told for _, told in home.told] == [PortMappingRefused(protocol, why)]


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        ({"AddPortMapping": 606}, "the router is told not to map ports"),
        ({"AddPortMapping": 718}, "the external port is another host's"),
        (
            {"GetExternalIPAddress": 501},
            "the router failed, and does not say why, asked for its address",
        ),
    ],
)
def test_upnp_s_refusals_are_told_in_words(errors: dict[str, int], why: str) -> None:
    home = home_with("upnp")
    home.router.soap_errors = errors
    home.start()
    home.run_until(2000.0)
    assert [told for _, told in home.told] == [PortMappingRefused("upnp", why)]


def test_a_refusal_by_one_protocol_leaves_the_next_one() -> None:
    home = home_with("nat-pmp", "upnp")
    home.router.result = 2
    home.start()
    home.run_until(1001.0)
    assert [told for _, told in home.told] == [PortMapped(EXTERNAL, "upnp", FOR_2_HOURS)]


@pytest.mark.parametrize(
    ("wan", "why"),
    [
        ("0.0.0.0", "the router has no address on the internet itself"),
        ("100.72.0.10", "the router's own address, 100.72.0.10, is behind a carrier's NAT"),
    ],
)
def test_an_address_that_nobody_can_reach_is_no_mapping(wan: str, why: str) -> None:
    for protocol in ("nat-pmp", "pcp"):
        home = home_with(protocol)
        home.router.wan = wan
        home.start()
        home.run_until(1002.0)
        assert [told for _, told in home.told] == [PortMappingRefused(protocol, why)]


# --- elsewhere, and the end ---


def test_another_network_is_another_router() -> None:
    home = home_with("nat-pmp")
    home.start()
    home.start(Place("192.168.7.1", Endpoint("192.168.7.20", 41641)))
    assert home.last == PortMappingLost("nat-pmp", "another network")
    home.run_until(1010.0)  # the router of before answers, and is not believed
    assert home.core.mapped is None
    assert home.core.counters["not_the_gateway"] > 0


def test_without_a_router_nothing_is_asked() -> None:
    home = home_with(*ALL)
    home.start(None)
    assert home.core.deadline is None
    assert home.router.heard == []


def test_after_a_link_change_a_mapping_must_be_confirmed() -> None:
    """The same addresses may well be another home."""
    home = home_with("nat-pmp")
    home.start()
    home.router.is_up = False
    home.start()
    home.run_until(1029.0)
    assert home.core.mapped == EXTERNAL
    home.run_until(1031.0)
    assert home.last == PortMappingLost("nat-pmp", "it ran out, and the router did not renew it")


def test_after_a_link_change_a_known_protocol_is_asked_without_a_search() -> None:
    home = home_with("upnp")
    home.start()
    home.run_until(1010.0)
    home.router.heard.clear()
    home.start()
    assert home.router.heard == ["GetExternalIPAddress", "AddPortMapping 41641 for 7200"]
    assert len(home.told) == 1


@pytest.mark.parametrize("protocol", sorted(ALL))
def test_a_node_that_stops_gives_the_port_back(protocol: str) -> None:
    home = home_with(protocol)
    home.start()
    home.run_until(1001.0)
    assert list(home.router.mapped) == [41641]
    home.handle(home.core.stop())
    assert home.router.mapped == {}
    assert home.core.deadline is None
    assert home.core.stop() == []


# --- hostile ---


def test_a_stranger_s_answers_are_dropped_and_counted() -> None:
    home = home_with()
    home.start()
    granted = struct.pack(">BBHIHHI", 0, 129, 0, 9, OWN.port, 9, 7200)
    address = struct.pack(">BBHI4s", 0, 128, 0, 9, bytes([6, 6, 6, 6]))
    for datagram in (address, granted):
        assert home.core.receive(datagram, Endpoint("192.168.1.66", 5351), home.now) == []
    assert home.core.counters == {"not_the_gateway": 2}


def test_an_answer_to_somebody_else_is_not_ours() -> None:
    home = home_with("pcp")
    home.router.is_up = False
    home.start()
    router = HomeRouter({"pcp"})
    theirs = Home(router)
    theirs.start(Place(GATEWAY, Endpoint("192.168.1.11", 41641)))
    stolen = struct.pack(">BBBBII12x", 2, 129, 0, 0, 7200, 9) + bytes(36)
    assert (
        home.core.receive(stolen[:37] + b"\x11" + stolen[38:], Endpoint(GATEWAY, 5351), 1000.1)
        == []
    )
    assert home.core.mapped is None


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["start", "junk", "http junk", "down", "up", "restart", "wait", "away"]
            ),
            st.sampled_from([0.0, 0.1, 0.3, 5.0, 61.0, 4000.0]),
            st.binary(max_size=64),
        ),
        max_size=20,
    ),
    st.sets(st.sampled_from(sorted(ALL))),
)
def test_whatever_happens_a_tick_moves_the_deadline(
    events: list[tuple[str, float, bytes]], protocols: set[str]
) -> None:
    home = home_with(*protocols)
    home.start()
    for name, wait, junk in events:
        home.run_until(home.now + wait)  # asserts it at each tick
        match name:
            case "start":
                home.start()
            case "away":
                home.start(Place("192.168.7.1", Endpoint("192.168.7.20", 41641)))
            case "junk":
                home.handle(home.core.receive(junk, Endpoint(GATEWAY, 5351), home.now))
            case "http junk":
                home.handle(home.core.receive_http(len(junk), None, home.now))
            case "down" | "up":
                home.router.is_up = name == "up"
            case "restart":
                home.router.restart(home.now)
    home.router.is_up = True
    home.start(HOME)
    home.run_until(home.now + 1300)
    assert (home.core.mapped is not None) == bool(protocols)  # never stuck


# --- what the tests are made of ---


def home_with(*protocols: str, lifetime: int = 7200) -> Home:
    return Home(HomeRouter(set(protocols)), lifetime)
