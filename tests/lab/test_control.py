"""The keeper's door, knocked on by callers that do not behave."""

from __future__ import annotations

import json
import os
import socket

import pytest

from lab.ask import SOCKET
from lab.client import Lab
from tests.lab.conftest import Up
from tests.lab.plans import A, two_hosts


@pytest.mark.parametrize(
    "question",
    [b"\n", b"hello\n", b"[]\n", b"{}\n", b'{"ask": "dance"}\n', b'{"ask": "enter"}\n', b"\xff\n"],
)
def test_what_is_no_question_is_answered_so(up: Up, question: bytes) -> None:
    lab = up(two_hosts())

    with _knock(lab) as caller:
        caller.sendall(question)
        answer = json.loads(caller.recv(4096))

    assert answer["error"].startswith("not a question: ")
    assert lab.run(A, ["true"]).returncode == 0


def test_a_caller_that_stops_in_the_middle_holds_up_nobody(up: Up) -> None:
    lab = up(two_hosts())

    with _knock(lab) as caller:
        caller.sendall(b'{"ask": "sta')
        assert lab.run(A, ["true"]).returncode == 0
        caller.sendall(b'tus"}\n')
        assert "status" in json.loads(caller.recv(65536))


def test_a_caller_that_hangs_up_before_the_answer_is_forgotten(up: Up) -> None:
    lab = up(two_hosts())

    for _ in range(50):
        with _knock(lab) as caller:
            caller.sendall(b'{"ask": "enter", "host": "node-a"}\n')

    assert lab.run(A, ["true"]).returncode == 0


def test_one_connection_may_ask_twice(up: Up) -> None:
    with _knock(up(two_hosts())) as caller:
        for _ in range(2):
            caller.sendall(b'{"ask": "path", "host": "node-a", "peer": "node-b"}\n')
            assert json.loads(caller.recv(4096))["kind"] == "none"


def test_a_bell_that_nobody_listens_to_does_not_stop_the_lab(up: Up) -> None:
    lab = up(two_hosts())

    with _knock(lab) as deaf:
        deaf.sendall(b'{"ask": "bell"}\n')
        for _ in range(300):  # more rings than its buffer holds
            lab.unplug(A)
            lab.plug(A)
        events = [event["event"] for event in lab.events()]

    assert events.count("link") == 600


def _knock(lab: Lab) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(60)
    folder = os.open(lab.folder, os.O_PATH)
    caller.connect(f"/proc/self/fd/{folder}/{SOCKET}")
    os.close(folder)
    return caller
