"""The page's server as a command: how it begins, what it says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from lab.view.web.door import TOKEN, Door
from lab.view.web.serve import Entrance, entrance
from tests.web.running import Demo, start

pytestmark = [pytest.mark.needs_lab, pytest.mark.xdist_group("page")]


def test_a_port_in_use_is_told_in_a_line_and_nothing_is_brought_up(demo: Demo) -> None:
    port = demo.origin.rpartition(":")[2]
    done = demo.invoke("lab.demo", "same-lan", "--web", "--port", port)
    assert (done.returncode, done.stdout) == (1, "")
    problem, hint = done.stderr.splitlines()
    assert problem == f"port {port} of 127.0.0.1 is in use already"
    assert hint == f"--port {int(port) + 1} takes the next one, --port 0 any that is free"
    assert "same-lan" not in demo.invoke("lab.list").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port", "65536"], "65536 is no port"),
        (["--host", "no.such.example"], "no.such.example is no address of this machine"),
        (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1 port 8642: Cannot assign"),
    ],
)
def test_where_it_cannot_be_is_told(demo: Demo, words: list[str], told: str) -> None:
    done = demo.invoke("lab.demo", "same-lan", "--web", *words)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(told)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"change": ["cut"]}, "change is a text, not ['cut']"),
        ({"change": "shout"}, "there is no such change; there is: cut, restore, unplug"),
        ({"change": "wan", "router": "home-a", "wan": ""}, "wan: say which wan"),
        ({"change": "link", "link": "nyc", "mtu": 1400}, "mtu is a text, not 1400"),
        ({"change": "link", "link": "nyc", "mtu": "12"}, "mtu"),
        ({"change": "wan", "router": "home-a", "wan": "203.0.113.1, x"}, '"x" is not an'),
        ({"change": "restore", "a": "node-a", "b": "node-b"}, "node-a and node-b are not cut"),
    ],
)
def test_a_change_that_cannot_be_is_told(demo: Demo, asked: dict[str, object], told: str) -> None:
    headers = {TOKEN: demo.url.partition("#")[2]}
    request = Request(f"{demo.origin}/change", json.dumps(asked).encode(), headers)
    with pytest.raises(HTTPError) as error:
        urlopen(request, timeout=20)
    with error.value as answer:
        assert answer.status == 400
        assert told in json.loads(answer.read())["problem"]


def test_it_ends_with_its_lab(tmp_path: Path) -> None:
    running = start(tmp_path, "same-lan")
    assert running.invoke("lab.down", "same-lan").returncode == 0
    running.process.communicate(timeout=30)
    assert running.process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_opened_to_others_says_what_that_means() -> None:
    ours = entrance("127.0.0.1", 0)
    with ours.socket:
        url, end = ours.announced()
        assert url.startswith(f"http://127.0.0.1:{ours.socket.getsockname()[1]}/#")
        assert end == "Ctrl-C ends it."
        opened = Entrance(ours.socket, Door("0.0.0.0"))
        told = list(opened.announced())[1]
        assert "reach this machine, by its own address for 0.0.0.0: anybody can look on" in told
