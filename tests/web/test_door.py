"""Who is let in to the page's server, and who is not."""

from __future__ import annotations

import pytest

from lab.view.web.door import TOKEN, Door

OURS = Door("127.0.0.1", token="secret")
OPEN = Door("0.0.0.0", token="secret")


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "localhost:8642", "[::1]:8642", "localhost"])
def test_its_own_names_are_let_in(host: str) -> None:
    assert OURS.refusal("GET", {"Host": host}) is None
    assert OURS.refusal("GET", {"Host": host, "Origin": f"http://{host}"}) is None


@pytest.mark.parametrize(
    "host", ["evil.example:8642", "127.0.0.1.evil.example", "192.0.2.1:8642", "", "[::1", "a@b:1"]
)
def test_a_foreign_host_is_refused_as_dns_rebinding_would_send_it(host: str) -> None:
    refused = OURS.refusal("GET", {"Host": host})
    assert refused is not None
    assert refused.status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost:8642", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_others_are_refused(origin: str, method: str) -> None:
    headers = {"Host": "localhost:8642", "Origin": origin, TOKEN: "secret"}
    refused = OURS.refusal(method, headers)
    assert refused is not None
    assert refused.status == 403


@pytest.mark.parametrize("token", [None, "", "Secret", "secret ", "s\udcffcret"])
def test_a_change_needs_the_token(token: str | None) -> None:
    headers = {"Host": "localhost"} | ({} if token is None else {TOKEN: token})
    refused = OURS.refusal("POST", headers)
    assert refused is not None
    assert "only to look at" in refused.why
    assert OURS.refusal("POST", {"Host": "localhost", TOKEN: "secret"}) is None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_changes_by_any_other_method(method: str) -> None:
    refused = OURS.refusal(method, {"Host": "localhost", TOKEN: "secret"})
    assert refused is not None
    assert refused.status == 405


def test_an_open_door_knows_addresses_but_still_no_names() -> None:
    assert OPEN.is_open
    assert OPEN.refusal("GET", {"Host": "192.0.2.1:8642"}) is None
    assert OPEN.refusal("GET", {"Host": "evil.example:8642"}) is not None
    assert Door("lab.example").refusal("GET", {"Host": "LAB.example:1"}) is None
    assert not OURS.is_open


def test_each_session_has_a_token_of_its_own_that_no_log_shows() -> None:
    one, other = Door("localhost"), Door("localhost")
    assert one.token != other.token
    assert len(one.token) >= 20
    assert one.token not in repr(one)
