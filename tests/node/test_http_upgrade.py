"""The HTTP before DERP: what each path answers, and what is no request at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.http_upgrade import (
    BadRequest,
    Request,
    answer,
    parse_request,
    switching_protocols,
    wants_upgrade,
)
from node.keys import NodePublic


def lines(request: Request, metrics: str | None = None) -> list[str]:
    return answer(request, metrics).decode().split("\r\n")


def get(path: str, method: str = "GET", **headers: str) -> Request:
    return Request(method, path, {k.replace("_", "-"): v for k, v in headers.items()})


def test_a_request_is_read() -> None:
    head = b"GET /derp?x=1 HTTP/1.1\r\nHost: derp.test\r\nUPGRADE:  DERP \r\nDerp-Fast-Start: 1"
    request = parse_request(head)
    assert request == get("/derp", host="derp.test", upgrade="DERP", derp_fast_start="1")
    assert request.fast_start
    assert wants_upgrade(request)


@pytest.mark.parametrize("upgrade", ["derp", "DERP", "Derp"])
def test_upgrade_is_known_in_any_case(upgrade: str) -> None:
    assert wants_upgrade(get("/derp", upgrade=upgrade))


@pytest.mark.parametrize(
    "request_",
    [
        get("/derp"),
        get("/derp", upgrade="h2c"),
        get("/", upgrade="DERP"),
        get("/derp", "POST", upgrade="DERP"),
    ],
)
def test_everything_else_is_no_upgrade(request_: Request) -> None:
    assert not wants_upgrade(request_)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"\x16\x03\x01", 400),
        (b"GET", 400),
        (b"GET /", 400),
        (b"GET derp HTTP/1.1", 400),
        (b"GET / x HTTP/1.1", 400),
        (b"GE T / HTTP/1.1", 400),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.1\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\nname : value", 400),
        (b"GET / HTTP/1.1\r\n: value", 400),
    ],
)
def test_what_is_no_request(head: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as bad:
        parse_request(head)
    assert bad.value.status == status


def test_the_101_answer_is_exact() -> None:
    assert switching_protocols(NodePublic(bytes(range(32)))) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: DERP\r\n"
        b"Connection: Upgrade\r\n"
        b"Derp-Version: 2\r\n"
        b"Derp-Public-Key: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/derp", "426 Upgrade Required"),
        ("/derp/probe", "200 OK"),
        ("/derp/latency-check", "200 OK"),
        ("/generate_204", "204 No Content"),
        ("/", "200 OK"),
        ("/robots.txt", "200 OK"),
        ("/nothing", "404 Not Found"),
        ("/metrics", "403 Forbidden"),
    ],
)
def test_what_each_path_answers(path: str, status: str) -> None:
    for method in ("GET", "HEAD"):
        assert lines(get(path, method))[0] == f"HTTP/1.1 {status}"
    assert lines(get(path, "POST"))[0] == "HTTP/1.1 405 Method Not Allowed"


@pytest.mark.parametrize("path", ["/derp/probe", "/derp/latency-check"])
def test_a_probe_is_answered_empty_and_for_any_origin(path: str) -> None:
    got = lines(get(path))
    assert "Access-Control-Allow-Origin: *" in got
    assert "Content-Length: 0" in got
    assert got[-2:] == ["", ""]


def test_a_head_request_gets_the_length_but_not_the_body() -> None:
    whole, head = answer(get("/"), None), answer(get("/", "HEAD"), None)
    assert whole.startswith(head)
    assert len(whole) > len(head)


@pytest.mark.parametrize("challenge", ["ts_derp.example", "a" * 64, "A.b-c_d:9"])
def test_a_challenge_is_answered(challenge: str) -> None:
    got = lines(get("/generate_204", x_tailscale_challenge=challenge))
    assert f"X-Tailscale-Response: response {challenge}" in got


@pytest.mark.parametrize("challenge", ["", "a" * 65, "a b", "a\nb", "é", "<script>"])
def test_a_bad_challenge_is_not_repeated(challenge: str) -> None:
    got = lines(get("/generate_204", x_tailscale_challenge=challenge))
    assert got[0] == "HTTP/1.1 204 No Content"
    assert not [line for line in got if line.startswith("X-Tailscale")]


def test_a_204_may_not_be_cached_and_has_no_length() -> None:
    got = lines(get("/generate_204"))
    assert "Cache-Control: no-cache, no-store, must-revalidate, no-transform, max-age=0" in got
    assert not [line for line in got if line.startswith("Content-Length")]


def test_metrics_are_for_those_who_may_see_them() -> None:
    assert lines(get("/metrics"), "derp_accepts 1\n")[-1] == "derp_accepts 1\n"


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_bad_request(head: bytes) -> None:
    try:
        request = parse_request(head)
    except BadRequest:
        return
    assert answer(request, None).startswith(b"HTTP/1.1 ")
