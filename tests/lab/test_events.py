"""Event lines: what comes in typed, what is kept as it is, and what is refused."""

import json
from pathlib import Path

import pytest

from lab.model.events import BadEvent, Endpoints, Other, PathMoved, Ready, parse
from lab.watching import EVENTS, path_history


def test_a_path_line_becomes_a_typed_event() -> None:
    line = (
        '{"at": 1.5, "host": "node-a", "event": "path", "peer": "node-b", "kind": "direct",'
        ' "via": "203.0.113.20:41641", "rtt_ms": 20.3, "why": "a pong"}'
    )
    assert parse(json.loads(line)) == PathMoved(
        at=1.5,
        host="node-a",
        peer="node-b",
        kind="direct",
        via="203.0.113.20:41641",
        rtt_ms=20.3,
        why="a pong",
    )


def test_what_we_do_not_know_is_kept() -> None:
    assert parse(json.loads('{"at": 1, "host": "b", "event": "ready", "pid": 7}')) == Ready(
        at=1, host="b", more={"pid": 7}
    )
    assert parse(json.loads('{"at": 1, "host": "b", "event": "sneeze", "loud": true}')) == Other(
        at=1, host="b", event="sneeze", more={"loud": True}
    )


def test_a_list_of_texts_is_kept_as_a_tuple() -> None:
    line = (
        '{"at": 2, "host": "a", "event": "endpoints", "endpoints": ["192.0.2.1:1", "192.0.2.2:2"]}'
    )
    endpoints = ("192.0.2.1:1", "192.0.2.2:2")
    assert parse(json.loads(line)) == Endpoints(at=2, host="a", endpoints=endpoints)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1]", "not a JSON object"),
        ('{"at": 1, "host": "b"}', "event: missing, or not a text"),
        ('{"host": "b", "event": "ready"}', "at: missing"),
        ('{"at": true, "host": "b", "event": "ready"}', "at: True cannot be"),
        ('{"at": 1, "host": "b", "event": "path", "peer": "a"}', "kind: missing"),
        (
            '{"at": 1, "host": "b", "event": "path", "peer": "a", "kind": "magic"}',
            "kind: 'magic' cannot be",
        ),
        (
            '{"at": 1, "host": "b", "event": "endpoints", "endpoints": [1]}',
            "endpoints: [1] cannot be",
        ),
    ],
)
def test_a_line_that_is_no_event_says_what_it_lacks(line: str, problem: str) -> None:
    with pytest.raises(BadEvent) as caught:
        parse(json.loads(line))
    assert str(caught.value) == problem


def test_a_path_history_has_each_change_once(tmp_path: Path) -> None:
    def moved(at: float, host: str, kind: str) -> str:
        return f'{{"at": {at}, "host": "{host}", "event": "path", "peer": "b", "kind": "{kind}"}}\n'

    log = [
        moved(0, "a", "none"),
        moved(1, "a", "relay"),
        moved(2, "c", "none"),
        moved(3, "a", "direct"),
        moved(4, "a", "direct"),
        moved(5, "a", "relay"),
        moved(6, "a", "direct")[:-1],  # only half written
    ]
    (tmp_path / EVENTS).write_text("".join(log))

    assert path_history(tmp_path, "a", "b") == ["relay", "direct", "relay"]
