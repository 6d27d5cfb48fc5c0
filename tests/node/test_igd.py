"""UPnP as home routers write it: SSDP answers, descriptions, results, and the HTTP around them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wire import igd, ssdp
from node.wire.endpoint import Endpoint
from node.wire.http_response import LARGEST, HttpResponse, parse_response
from node.wire.igd import Service, SoapError
from node.wire.malformed import Malformed
from node.wire.ssdp import Url

ROUTER = Endpoint("192.168.1.1", 5000)
ROOT = Url(ROUTER, "/rootDesc.xml")
IP2, IP1, PPP = igd.SERVICE_TYPES

SSDP_ANSWER = (
    "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n"
    "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
    "USN: uuid:f81d4fae::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nEXT:\r\n"
    "SERVER: Debian UPnP/1.1 MiniUPnPd/2.3.1\r\n"
    "LOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n"
)

# --- SSDP ---


def test_a_search_asks_for_gateways() -> None:
    assert ssdp.search() == (
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
        b"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
        b'MAN: "ssdp:discover"\r\nMX: 1\r\n\r\n'
    )


@pytest.mark.parametrize(
    "answer",
    [
        SSDP_ANSWER,
        SSDP_ANSWER.replace("\r\n", "\n"),
        SSDP_ANSWER.replace("LOCATION: ", "Location:"),
        SSDP_ANSWER.replace("Device:1\r\n", "Device:2\r\n"),
        SSDP_ANSWER.removesuffix("\r\n"),  # without the empty line at its end
    ],
)
def test_an_answer_says_where_the_description_is(answer: str) -> None:
    assert ssdp.parse_answer(answer.encode()) == ROOT


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "no status"),
        ("NOTIFY * HTTP/1.1\r\n\r\n", "no status"),
        (SSDP_ANSWER.replace("200 OK", "404 Not Found"), "not an answer"),
        (SSDP_ANSWER.replace("InternetGatewayDevice:1\r\nUSN", "MediaServer:1\r\nUSN"), "gateway"),
        (SSDP_ANSWER.replace("LOCATION", "LOCALE"), "url"),
        (SSDP_ANSWER.replace("http://192.168.1.1", "http://router.lan"), "url"),
        (SSDP_ANSWER.replace("http://", "https://"), "url"),
        (SSDP_ANSWER.replace(":5000/", ":65536/"), "port 65536"),
        (SSDP_ANSWER.replace("/rootDesc.xml", "/a b"), "url"),
        (SSDP_ANSWER + "x" * 4096, "too long"),
    ],
)
def test_what_is_no_answer_is_malformed(answer: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        ssdp.parse_answer(answer.encode())


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("/ctl/IPConn", Url(ROUTER, "/ctl/IPConn")),
        ("control?WANIPConnection", Url(ROUTER, "/control?WANIPConnection")),
        ("http://192.168.1.1:49152/ctl", Url(Endpoint("192.168.1.1", 49152), "/ctl")),
        (" http://192.168.1.1 ", Url(Endpoint("192.168.1.1", 80), "/")),
    ],
)
def test_a_control_url_is_whole_or_a_path(text: str, url: Url) -> None:
    assert ssdp.join_url(ROOT, text) == url


# --- descriptions ---


def test_a_description_lists_the_services_that_map_ports_best_first() -> None:
    xml = description(
        (PPP, "/ppp"), ("urn:schemas-upnp-org:service:Layer3Forwarding:1", "/l3"), (IP1, "/ip")
    )
    assert parse(xml) == [
        Service(IP1, Url(ROUTER, "/ip")),
        Service(PPP, Url(ROUTER, "/ppp")),
    ]


CONTROL = "<u:controlURL>\n/a?b=1&amp;c=2 </u:controlURL>"


@pytest.mark.parametrize(
    "xml",
    [
        f"<broken><service><serviceType>{IP1}</serviceType>{CONTROL}</service>",
        f"<n:service >{CONTROL}<n:serviceType x='y'>{IP1}</n:serviceType></n:service>",
        f"<service><serviceType>\n{IP1}\t</serviceType >{CONTROL}</service>",
    ],
)
def test_sloppy_descriptions_are_read(xml: str) -> None:
    assert parse(xml) == [Service(IP1, Url(ROUTER, "/a?b=1&c=2"))]


def test_a_base_url_is_what_paths_are_of() -> None:
    xml = "<URLBase>http://192.168.1.1:49000/</URLBase>" + description((IP2, "/ctl"))
    assert parse(xml) == [Service(IP2, Url(Endpoint("192.168.1.1", 49000), "/ctl"))]


def test_a_description_without_a_service_that_maps_ports_is_malformed() -> None:
    others = description(("urn:schemas-upnp-org:service:Layer3Forwarding:1", "/l3"))
    misspelt = description((IP1, "/ip")).replace("controlURL", "controlUrl")
    unfinished = f"<service><serviceType>{IP1}</serviceType><controlURL>/ip</controlURL>"
    for xml in ("", description(), others, misspelt, unfinished, "<service>" * 10_000):
        with pytest.raises(Malformed, match="no service"):
            parse(xml)
    with pytest.raises(Malformed, match="url"):
        parse(description((IP1, "ftp://192.168.1.1/")))
    with pytest.raises(Malformed, match="404"):
        igd.parse_description(HttpResponse(404, {}, description((IP1, "/")).encode()), ROOT)


def test_no_text_can_grow() -> None:
    """XML's entities can make 10 GB of 1 KB: here they are text like any other."""
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    [service] = parse(bomb + description((IP1, "/&b;")))
    assert service.control.path == "/&b;"


def test_more_services_than_any_router_has_are_not_looked_at() -> None:
    other = ("urn:schemas-upnp-org:service:Layer3Forwarding:1", "/l3")
    with pytest.raises(Malformed, match="no service"):
        parse(description(*[other] * igd.MOST_SERVICES, (IP1, "/ip")))


# --- calls ---


def test_a_call_is_one_post() -> None:
    service = Service(IP2, Url(ROUTER, "/ctl/IPConn"))
    head, _, body = igd.soap_request(service, "AddPortMapping", {"A": 1, "B": "<&>"}).partition(
        b"\r\n\r\n"
    )
    assert head.decode().split("\r\n") == [
        "POST /ctl/IPConn HTTP/1.1",
        "Host: 192.168.1.1:5000",
        "Connection: close",
        'Content-Type: text/xml; charset="utf-8"',
        f'SOAPAction: "{IP2}#AddPortMapping"',
        f"Content-Length: {len(body)}",
    ]
    assert f'<u:AddPortMapping xmlns:u="{IP2}"><A>1</A><B>&lt;&amp;&gt;</B></u:'.encode() in body


def test_a_result_s_values_are_found_by_name() -> None:
    body = (
        "<s:Body><u:GetExternalIPAddressResponse><NewExternalIPAddress>44.12.0.10"
        "</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body>"
    )
    result = igd.parse_result(HttpResponse(200, {}, body.encode()), "NewExternalIPAddress", "Other")
    assert result == {"NewExternalIPAddress": "44.12.0.10", "Other": ""}


def test_an_error_has_a_number_and_words() -> None:
    body = b"<s:Fault><detail><UPnPError><errorCode>725</errorCode></UPnPError></detail></s:Fault>"
    for status in (500, 200):  # some routers fail with 200
        error = igd.parse_result(HttpResponse(status, {}, body))
        assert error == SoapError(725)
    assert str(SoapError(725)) == "the router maps ports for ever or not at all"
    assert str(SoapError(899)) == "the router says error 899"


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [(500, b"", "500"), (500, b"<errorCode>x</errorCode>", "error code 'x'")],
)
def test_an_error_without_a_number_is_malformed(status: int, body: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        igd.parse_result(HttpResponse(status, {}, body))


# --- HTTP ---

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: Chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"


@pytest.mark.parametrize("whole", [SIZED, SIZED + b"more", CHUNKED, SIZED.replace(b"\r\n", b"\n")])
def test_a_response_is_read_as_soon_as_it_is_whole(whole: bytes) -> None:
    response = parse_response(whole, closed=False)
    assert response is not None
    assert (response.status, response.body) == (200, b"hello")


def test_without_a_length_the_end_of_the_connection_is_the_end() -> None:
    data = OK + b"\r\nhello"
    assert parse_response(data, closed=False) is None
    assert parse_response(data, closed=True) == HttpResponse(200, {}, b"hello")


@pytest.mark.parametrize("whole", [SIZED, CHUNKED.removesuffix(b"\r\n\r\n")])
def test_any_cut_waits_for_more_and_is_malformed_when_nothing_comes(whole: bytes) -> None:
    for size in range(len(whole) - 1):
        assert parse_response(whole[:size], closed=False) is None
        with pytest.raises(Malformed):
            parse_response(whole[:size], closed=True)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"ICY 200 OK\r\n\r\n", "no status"),
        (OK + b"a: b\r\n" * 4096, "head without end"),
        (OK + b"Content-Length: -1\r\n\r\n", "length"),
        (OK + b"\r\n" + bytes(LARGEST), "more than"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"x" * 20_000, "chunk"),
    ],
)
def test_a_response_has_bounds(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse_response(data, closed=False)


@given(st.binary(max_size=200), st.booleans(), st.sampled_from([b"", OK, SIZED[:-5], CHUNKED[:60]]))
def test_random_responses_are_malformed_at_worst(rest: bytes, closed: bool, begin: bytes) -> None:
    try:
        response = parse_response(begin + rest, closed)
        if response is not None:
            igd.parse_result(response, "a")
            igd.parse_description(response, ROOT)
    except Malformed:
        pass


PIECES = st.sampled_from(
    ["<service>", "</service>", "<", ">", IP1, "<serviceType>", "/ip", "http://"]
)


@given(st.lists(PIECES | st.text(max_size=8), max_size=40))
def test_random_descriptions_and_answers_are_malformed_at_worst(pieces: list[str]) -> None:
    text = "".join(pieces)
    with contextlib.suppress(Malformed):
        parse(text)
    for datagram in (text.encode(), SSDP_ANSWER.replace("192.168.1.1", text).encode()):
        try:
            ssdp.parse_answer(datagram)
        except Malformed:
            continue


# --- what the tests are made of ---


def description(*services: tuple[str, str]) -> str:
    blocks = (
        f"<service><serviceType>{kind}</serviceType><serviceId>x</serviceId>"
        f"<controlURL>{url}</controlURL><SCPDURL>/x.xml</SCPDURL></service>"
        for kind, url in services
    )
    return f'<?xml version="1.0"?><root><serviceList>{"".join(blocks)}</serviceList></root>'


def parse(xml: str) -> list[Service]:
    return igd.parse_description(HttpResponse(200, {}, xml.encode()), ROOT)
