"""The loop of a capture: rings, events and keys in, blocks out, in order of time.

It runs outside the lab and holds nothing of it but packet sockets, so it outlives the lab: when that ends,
the file is finished. A ring hands over its packets some RETIRE milliseconds late, so a packet is written only
when nothing older can come any more.
"""

from __future__ import annotations

import selectors
import socket
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path

from lab.ask import connected
from lab.capture.clock import WallClock
from lab.capture.events import Event, EventLog
from lab.capture.keylogs import KeyLogs
from lab.capture.ring import RETIRE, RETIRE_WAITING, Frame
from lab.capture.sinks import Sink
from lab.capture.summary import Summary
from lab.capture.taps import Tap, tapped
from lab.capture.writer import SECOND, Writer

IDLE = 3600.0  # seconds; anything that happens wakes us
BELL_PATIENCE = 30.0  # seconds for the keeper to take us in
LATE = 0.2  # seconds that a ring may be late, on a busy machine, until a packet is written
LATEST = 5.0  # and at the end


def record(
    folder: Path,
    machines: Mapping[str, str],
    sink: Sink,
    seconds: float | None,
    stop: int,
    begun: Callable[[], None],
) -> Summary:
    """Until `seconds` are over, `stop` (a descriptor) becomes readable, or the lab ends.

    `machines`: each with the one interface that is wanted, or an empty text for all of them.
    """
    with tapped(folder, machines) as taps, connected(folder, BELL_PATIENCE) as bell:
        bell.sendall(b'{"ask": "bell"}\n')
        recorder = Recorder(folder, taps, sink)
        begun()
        _run(recorder, taps, bell, stop, seconds)
        return recorder.finish()


def _run(
    recorder: Recorder, taps: list[Tap], bell: socket.socket, stop: int, seconds: float | None
) -> None:
    until = float("inf") if seconds is None else time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for tap in taps:
            selector.register(tap.socket, selectors.EVENT_READ, tap)
        selector.register(bell, selectors.EVENT_READ)
        selector.register(stop, selectors.EVENT_READ)
        while (now := time.monotonic()) < until:
            looked = time.monotonic_ns()
            ready = selector.select(min(until - now, recorder.patience))
            recorder.turn([key.data for key, _ in ready if key.data is not None], looked)
            fds = {key.fd for key, _ in ready}
            if stop in fds or (bell.fileno() in fds and not _rings(bell)):
                break
        selector.unregister(bell)
        selector.unregister(stop)
        _take_the_rest(recorder, taps, selector)


def _take_the_rest(recorder: Recorder, taps: list[Tap], selector: selectors.BaseSelector) -> None:
    """What the rings have and did not hand over yet: by the clock, and a busy kernel's clock is late."""
    recorder.turn(taps, time.monotonic_ns())  # what is handed over: the next block is the kernel's
    now = time.monotonic()
    enough, most = now + 2 * recorder.retire, now + LATEST
    held = [(tap.ring, tap.ring.taken) for tap in taps if tap.ring.holds]
    while now < enough or (now < most and any(ring.taken == taken for ring, taken in held)):
        looked = time.monotonic_ns()
        recorder.turn([key.data for key, _ in selector.select(recorder.retire)], looked)
        now = time.monotonic()
    recorder.turn(taps, time.monotonic_ns())  # if we stood still, we have not seen the last


def _rings(bell: socket.socket) -> bool:
    """False: it is torn off."""
    try:
        return bool(bell.recv(4096))
    except OSError:
        return False


class Recorder:
    def __init__(self, folder: Path, taps: list[Tap], sink: Sink) -> None:
        self._taps, self._sink = taps, sink
        self._clock = WallClock()
        self._log = EventLog(folder)
        self._keys = KeyLogs(folder, [tap.machine for tap in taps])
        self._writer = Writer(sink, self._clock.ahead)
        self._started = time.monotonic_ns()
        self._waiting: list[tuple[int, Tap, Frame | Event]] = []
        from_start = any(tap.is_from_start for tap in taps)
        self._since = 0 if from_start else self._started  # the events of its packets
        self.retire = (RETIRE_WAITING if from_start else RETIRE) / 1000  # seconds
        self._hold = round((2 * self.retire + LATE) * SECOND)  # until nothing older can come
        for tap in taps:
            for index in list(tap.known):
                self._writer.interface(tap, index)
        self.turn(taps, self._started)

    @property
    def patience(self) -> float:
        """Seconds until there may be something to write."""
        return self.retire if self._waiting else IDLE

    def turn(self, ready: list[Tap], looked: int) -> None:
        """Takes what is there, and writes what nothing older can come before.

        `looked`: when it was asked who is ready (nanoseconds). If we stood still since, others may be, too.
        """
        ahead = self._clock.look()
        for tap in ready:
            self._waiting += [(frame.at, tap, frame) for frame in tap.ring.frames(ahead)]
        for event in self._log.fresh():
            at = round(event["at"] * SECOND)
            if at >= self._since:
                self._waiting.append((at, self._taps[0], event))
        self._write(looked - self._hold)
        self._sink.flush()

    def finish(self) -> Summary:
        now = time.monotonic_ns()
        self._write(now + self._hold)
        for tap in self._taps:
            self._writer.statistics(tap, now)
        self._sink.close()
        self._log.close()
        return Summary(
            self._writer.counts.total(),
            sum(tap.ring.dropped for tap in self._taps),
            sum(each is not None for tap in self._taps for each in tap.interfaces.values()),
            (now - self._started) / SECOND,
        )

    def _write(self, until: int) -> None:
        """All that is older. Keys first: a reader needs them before the packets."""
        for kind, lines in self._keys.fresh():
            self._writer.keys(kind, lines)
        self._waiting.sort(key=itemgetter(0))
        count = bisect_right(self._waiting, until, key=itemgetter(0))
        for at, tap, what in self._waiting[:count]:
            if isinstance(what, Frame):
                self._writer.frame(tap, what)
            else:
                self._writer.event(at, what)
        del self._waiting[:count]
