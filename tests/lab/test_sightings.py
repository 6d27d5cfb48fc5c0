"""What moves on which wire, seen from outside the daemons while it moves."""

from __future__ import annotations

import queue
import subprocess
import time
from collections.abc import Callable
from typing import Any, Self

import pytest

from lab.judge import sightings
from lab.judge.feed import Feed, Item
from lab.model.beat import Beat
from lab.model.events import Other, PathMoved
from lab.model.sighting import Sighting, parse_line
from lab.pytest_plugin import Net, StartLab
from lab.view.scene import Lane, Scene, Style

pytestmark = [pytest.mark.needs_lab, pytest.mark.xdist_group("sightings")]
A, B = "node-a", "node-b"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def net(module_lab: StartLab) -> Net:
    return module_lab("nat-pair", set={"link.nyc.delay": "20ms"})


def test_a_feed_tells_of_the_upgrade_as_it_is_on_the_wires(net: Net) -> None:
    with Watch(net, pair=(A, B)) as watch:
        watch.until(lambda item: is_path(item, "direct"))
        watch.until(lambda _: watch.style("home-a", "direct") == "double")
        watch.until(lambda _: watch.style("nyc") is None)  # nothing of it needs the relay
        watch.until(lambda item: isinstance(item, Beat) and item.rtt_ms is not None)


def test_behind_a_cut_data_is_relayed_while_the_direct_way_is_tried(net: Net) -> None:
    with Watch(net, pair=(A, B)) as watch:
        net.cut(A, B)
        watch.until(lambda item: is_path(item, "relay"))
        watch.until(lambda _: watch.style("home-a", "direct") == "dashed")
        watch.until(lambda _: watch.style("home-a", "relay") == "solid")
        watch.until(lambda _: watch.style("nyc") == "solid")

        net.restore(A, B)

        watch.until(lambda item: is_path(item, "direct"))
        watch.until(lambda _: watch.style("home-a", "direct") == "double")


def test_a_flood_is_looked_at_in_part_and_the_rest_is_counted(net: Net) -> None:
    with Watch(net) as watch:
        flood = net.lab.popen(
            "home-a", ["ping", "-f", "-q", "203.0.113.20"], stdout=subprocess.DEVNULL
        )
        watch.until(lambda item: isinstance(item, Sighting) and item.kind == "unread")
        flood.terminate()
        flood.wait()


def test_who_is_unplugged_is_not_heard(net: Net) -> None:
    with Watch(net, pair=(A, B)) as watch:
        net.unplug(A)
        watch.until(lambda item: isinstance(item, Other) and item.event == "link")
        assert watch.scene.unplugged(time.monotonic()) == {A}
        watch.until(lambda item: isinstance(item, Beat) and item.rtt_ms is None)
        watch.until(lambda _: watch.style(A) is None)

        net.plug(A)

        watch.until(lambda item: isinstance(item, Beat) and item.rtt_ms is not None)


def test_a_watcher_ends_with_its_reader(net: Net) -> None:
    plan = net.lab.plan()
    watcher = sightings.start(net.lab, plan)
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    ping = ["ping", "-q", "-i0.2", "203.0.113.20"]
    with net.lab.popen("home-a", ping, stdout=subprocess.DEVNULL) as pinging:
        assert parse_line(watcher.stdout.readline()).wire in {wire.name for wire in plan.wires}
        pinging.terminate()

    watcher.stdin.close()

    assert watcher.wait(PATIENCE) == 0


def is_path(item: Item, kind: str) -> bool:
    return isinstance(item, PathMoved) and (item.host, item.kind) == (A, kind)


class Watch:
    """A scene that is fed from a running lab, and waits for what is to come."""

    def __init__(self, net: Net, pair: tuple[str, str] | None = None) -> None:
        self.scene = Scene(net.lab.plan())
        self._items: queue.Queue[Item | None] = queue.Queue()
        self._feed = Feed(net.lab, self._items.put, pair)

    def __enter__(self) -> Self:
        self._feed.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._feed.__exit__(*error)

    def until(self, is_it: Callable[[Item], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            item = self._items.get(timeout=end - time.monotonic())
            assert item is not None
            self.scene.take(item)
            if is_it(item):
                return

    def style(self, wire: str, lane: Lane | None = None) -> Style | None:
        return self.scene.style(wire, time.monotonic(), lane)
