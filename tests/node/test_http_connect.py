"""Ways out through an HTTP proxy: how one is named, asked, and what its answers mean."""

from __future__ import annotations

import pytest

from node.core.http_connect import (
    Proxy,
    connect_request,
    goes_direct,
    is_connected,
    parse_proxy,
)
from node.io.proxies import Proxies, proxies_from
from node.wire.malformed import Malformed


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.test:3128", Proxy("proxy.test", 3128)),
        ("http://proxy.test:3128/", Proxy("proxy.test", 3128)),
        ("proxy.test", Proxy("proxy.test", 80)),
        ("http://[2001:db8::1]:8080", Proxy("2001:db8::1", 8080)),
        ("http://[2001:db8::1]", Proxy("2001:db8::1", 80)),
        ("http://me:p%40ss@10.0.0.1:3128", Proxy("10.0.0.1", 3128, "me:p@ss")),
    ],
)
def test_how_a_proxy_is_named(text: str, proxy: Proxy) -> None:
    assert parse_proxy(text) == proxy


@pytest.mark.parametrize("text", ["", "https://proxy.test", "proxy:0", "a:b:c", "http://p/x:1"])
def test_what_names_no_proxy(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|kind of proxy"):
        parse_proxy(text)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in f"{Proxy('p', 1, 'me:secret')} {Proxy('p', 1, 'me:secret')!r}"


def test_the_request() -> None:
    asked = connect_request("nyc.derp.example", 443, Proxy("p", 1, "me:pass"))
    assert asked.decode().split("\r\n") == [
        "CONNECT nyc.derp.example:443 HTTP/1.1",
        "Host: nyc.derp.example:443",
        "User-Agent: punchlab",
        "Proxy-Authorization: Basic bWU6cGFzcw==",
        "",
        "",
    ]
    assert connect_request("2001:db8::1", 443, Proxy("p", 1)).startswith(b"CONNECT [2001:db8::1]:")


@pytest.mark.parametrize(
    ("answer", "connected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"", False),
    ],
)
def test_answers_that_are_or_may_become_a_yes(answer: bytes, connected: bool) -> None:
    assert is_connected(answer) == connected


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 407 Who are you\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"\r\n\r\n", b"x" * 16_385],
)
def test_answers_that_are_a_no(answer: bytes) -> None:
    with pytest.raises(Malformed):
        is_connected(answer)


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("nyc.derp.example", "", False),
        ("nyc.derp.example", "derp.example", True),
        ("nyc.derp.example", "localhost, .derp.example", True),
        ("nyc.derp.example", "erp.example", False),
        ("NYC.derp.example", "nyc.DERP.example", True),
        ("nyc.derp.example", "*", True),
    ],
)
def test_hosts_that_need_no_proxy(host: str, no_proxy: str, direct: bool) -> None:
    assert goes_direct(host, no_proxy) == direct


def test_the_command_line_wins_over_the_environment() -> None:
    around = {"HTTPS_PROXY": "http://env:1", "NO_PROXY": "fra.test"}
    assert proxies_from("http://own:2", around).way_to("fra.test") == Proxy("own", 2)
    assert proxies_from("none", around) == Proxies()
    assert proxies_from(None, around).way_to("nyc.test") == Proxy("env", 1)
    assert proxies_from(None, around).way_to("fra.test") is None
    assert proxies_from(None, {"https_proxy": "low:3"}).way_to("nyc.test") == Proxy("low", 3)
    assert proxies_from(None, {}) == Proxies()
