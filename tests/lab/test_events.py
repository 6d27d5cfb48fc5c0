"""Event lines: what comes in typed, what is kept as it is, and what is refused."""

import pytest

from lab.model.events import (
    BadEvent,
    Event,
    Other,
    PathMoved,
    Ready,
    parse_line,
    path_history,
    to_line,
)


def test_a_path_line_becomes_a_typed_event() -> None:
    line = (
        '{"at": 1.5, "host": "node-a", "event": "path", "peer": "node-b", "kind": "direct",'
        ' "via": "203.0.113.20:41641", "rtt_ms": 20.3, "why": "a pong"}'
    )
    assert parse_line(line) == PathMoved(
        at=1.5,
        host="node-a",
        peer="node-b",
        kind="direct",
        via="203.0.113.20:41641",
        rtt_ms=20.3,
        why="a pong",
    )


def test_what_we_do_not_know_is_kept() -> None:
    assert parse_line('{"at": 1, "host": "b", "event": "ready", "pid": 7}') == Ready(
        at=1, host="b", more={"pid": 7}
    )
    assert parse_line('{"at": 1, "host": "b", "event": "sneeze", "loud": true}') == Other(
        at=1, host="b", event="sneeze", more={"loud": True}
    )


@pytest.mark.parametrize(
    "line",
    [
        '{"at": 1, "host": "b", "event": "ready", "pid": 7}',
        '{"at": 1, "host": "b", "event": "sneeze"}',
        '{"at": 2, "host": "a", "event": "endpoints", "endpoints": ["192.0.2.1:1", "192.0.2.2:2"]}',
        '{"at": 2, "host": "a", "event": "relay_lost", "region": "nyc", "why": "reset"}',
    ],
)
def test_an_event_goes_out_as_it_came_in(line: str) -> None:
    assert parse_line(to_line(parse_line(line))) == parse_line(line)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("listening on 443", "not JSON"),
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
        parse_line(line)
    assert str(caught.value) == problem


def test_a_path_history_has_each_change_once() -> None:
    def moved(at: float, host: str, kind: str) -> Event:
        text = f'{{"at": {at}, "host": "{host}", "event": "path", "peer": "b", "kind": "{kind}"}}'
        return parse_line(text)

    events = [
        moved(0, "a", "none"),
        moved(1, "a", "relay"),
        moved(2, "c", "none"),
        moved(3, "a", "direct"),
        moved(4, "a", "direct"),
        moved(5, "a", "relay"),
    ]
    assert path_history(events, "a", "b") == ["relay", "direct", "relay"]
