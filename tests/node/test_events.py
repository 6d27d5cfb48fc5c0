"""The event log: JSON lines to a reader that may be slow, deaf or gone."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from node.io.events import QUEUE, EventLog
from node.io.loop import Loop


def lines(fd: int) -> list[dict[str, Any]]:
    os.set_blocking(fd, False)
    data = b""
    while True:
        try:
            data += os.read(fd, 1 << 20)
        except BlockingIOError:
            return [json.loads(line) for line in data.splitlines()]


def test_an_event_is_one_line_with_time_host_and_name(loop: Loop) -> None:
    reader, writer = os.pipe()
    before = time.monotonic()
    EventLog(loop, writer, "node-a").write("path", {"peer": "node-b", "kind": "direct"})
    [line] = lines(reader)
    at = line.pop("at")
    assert before - 0.001 <= at <= time.monotonic() + 0.001
    assert line == {"host": "node-a", "event": "path", "peer": "node-b", "kind": "direct"}


def test_a_reader_that_does_not_read_is_never_waited_for_and_told_what_it_missed(
    loop: Loop,
) -> None:
    reader, writer = os.pipe()
    log = EventLog(loop, writer, "node-a")
    total = 5 * QUEUE
    for number in range(total):
        log.write("ping", {"number": number})
    first = lines(reader)
    log.flush()
    second = lines(reader)
    while second and second[-1].get("number") != total - 1:
        log.flush()
        second += lines(reader)
    [dropped] = [line["count"] for line in second if line["event"] == "events_dropped"]
    numbers = [line["number"] for line in first + second if "number" in line]
    assert numbers == sorted(numbers)
    assert len(numbers) + dropped == total


def test_a_reader_that_is_gone_is_no_trouble(loop: Loop) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    log = EventLog(loop, writer, "node-a")
    log.write("ready", {})
    log.write("stopped", {})
