"""The delay line: one process that holds back the packets of every link that is told to delay.

    python -S -m lab.world.delayline FD

It is used where the kernel has no netem. The keeper opens each queue inside its machine and hands the
socket over, so this process needs no privilege to go anywhere; it ends when the keeper does. FD is a
socket to the keeper on which each message is one JSON object:

    {"line": [3, 7], "shape": {...}}   with a queue's socket: a new line; without: another shape
    {"line": [3, 7], "close": true}    everything goes now, then the queue is closed
    {"settle": 1}                      answered with the same words once all before it holds

A line is named by its machine's place in the plan and the number of its queue there.

It does nothing but wait, so it runs at the head of the scheduler's queue and with exact timers.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import json
import os
import random
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.model.link import CLEAN, Shape
from lab.world import nfqueue
from lab.world.line import Early, Line

_AT_ONCE = 512  # packets of one line before the others get their turn
_CROWD = 100e-6  # seconds between two readings: if they are nearer, packets come in crowds,
_GATHER = 100e-6  # and are let gather for so long: to be woken for each costs more than to serve it
_LEARNING = 0.1  # the weight of the newest
_MOST_LATENESS = 0.0004  # seconds: more is a busy machine, not the way here
_MESSAGE = 1 << 16


class Queue:
    """A line and the kernel's queue behind it."""

    def __init__(self, number: int, kernel: socket.socket, shape: Shape) -> None:
        self.number = number
        self.kernel = kernel
        self.line = Line(shape, random.random)
        self.is_scheduled = False
        self._buffer = bytearray(4096)

    def receive(self, now: float) -> bool:
        """Takes in what came; True if there may be more."""
        first = last = None
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while taken < _AT_ONCE:
                self.kernel.recv_into(self._buffer)
                taken += 1
                if nfqueue.KIND.unpack_from(self._buffer)[0] != nfqueue.PACKET:
                    continue
                (last,) = nfqueue.NUMBER.unpack_from(self._buffer)
                if first is None:
                    first = last
        if first is not None and last is not None:
            for fate in self.line.admit(first, last, now):
                say = nfqueue.free if isinstance(fate, Early) else nfqueue.lose
                self.kernel.send(say(self.number, fate.packet))
        return taken == _AT_ONCE

    def release(self, now: float) -> None:
        if (last := self.line.release(now)) is not None:
            self.kernel.send(nfqueue.free_up_to(self.number, last))

    def close(self) -> None:
        self.line.shape = CLEAN
        while self.receive(time.monotonic()):
            pass
        self.release(time.monotonic())
        self.kernel.close()


class DelayLine:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._epoll = select.epoll()
        self._epoll.register(control, select.EPOLLIN)
        self._by_name: dict[tuple[int, ...], Queue] = {}
        self._by_fd: dict[int, Queue] = {}
        self._lateness = 0.0  # seconds from the time we asked for to the time we were woken
        self._due: list[tuple[float, int]] = []  # a heap; each line is in it once at the most

    def run(self) -> None:
        read_at = 0.0
        while True:
            # select waits for microseconds, epoll only for milliseconds.
            before = time.monotonic()
            wait = self._seconds_to_sleep(before)
            came = select.select([self._epoll], [], [], wait)[0]
            now = time.monotonic()
            if not came and wait:
                self._woke(late=now - before - wait)
            # Who wakes us for a packet is late too; half of that, so that few packets go too early.
            arrived = now - self._lateness / 2 if now - before > self._lateness else now
            if came:
                if now - read_at < _CROWD:
                    time.sleep(_GATHER)
                read_at = now
                for fd, _ in self._epoll.poll(0):
                    if fd == self._control.fileno():
                        if not self._obey():
                            return
                    elif queue := self._by_fd.get(fd):
                        queue.receive(arrived)
                        self._schedule(queue)
            self._release()

    def _seconds_to_sleep(self, now: float) -> float | None:
        return max(0.0, self._due[0][0] - self._lateness - now) if self._due else None

    def _woke(self, late: float) -> None:
        learnt = self._lateness + (late - self._lateness) * _LEARNING
        self._lateness = min(learnt, _MOST_LATENESS)

    def _schedule(self, queue: Queue) -> None:
        deadline = queue.line.deadline
        if deadline is not None and not queue.is_scheduled:
            queue.is_scheduled = True
            heapq.heappush(self._due, (deadline, queue.kernel.fileno()))

    def _release(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            if queue := self._by_fd.get(heapq.heappop(self._due)[1]):
                queue.is_scheduled = False
                queue.release(now)
                self._schedule(queue)

    def _obey(self) -> bool:
        """False when the keeper is gone."""
        for data, fds in self._messages():
            if not data:
                return False
            words: dict[str, Any] = json.loads(data)
            if "settle" in words:
                self._control.send(data)
            else:
                self._change(words, fds)
        return True

    def _messages(self) -> Iterator[tuple[bytes, list[int]]]:
        with contextlib.suppress(BlockingIOError):
            data, fds, _, _ = socket.recv_fds(self._control, _MESSAGE, 1)
            yield data, list(fds)

    def _change(self, words: dict[str, Any], fds: list[int]) -> None:
        name = tuple(words["line"])
        if fds:
            kernel = socket.socket(fileno=fds[0])
            queue = Queue(name[-1], kernel, Shape(**words["shape"]))
            self._by_name[name] = self._by_fd[kernel.fileno()] = queue
            self._epoll.register(kernel, select.EPOLLIN)
        elif "close" in words:
            queue = self._by_name.pop(name)
            del self._by_fd[queue.kernel.fileno()]
            self._epoll.unregister(queue.kernel)
            queue.close()
        else:
            queue = self._by_name[name]
            queue.line.shape = Shape(**words["shape"])
            queue.release(time.monotonic())


def _hurry() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1")
    # Before everybody else: on a machine with ten times too much to do, a packet that waits for 10 ms is
    # 0.5 ms late so, and 3 ms with the best of the ordinary priorities. Root alone may.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    gc.disable()  # nothing here makes cycles


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.setblocking(False)
    _hurry()
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        DelayLine(control).run()


if __name__ == "__main__":
    main()
