"""How smoothly the page of lab.demo moves, and how soon it shows what happened, with nine homes.

In a real browser, at a phone's width and a desk's, while one pair is pinged and while all 36 are. The
browser has no GPU and shares the processors with the whole lab: CPU ms are those that its main thread spent
on a frame, whoever else was busy. Meanwhile a cable is pulled and put back, and is to be seen.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeAlias

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from lab import state
from lab.client import Lab
from tests.bench.figures import Table, median
from tests.web.running import ARGS, CHROMIUM, Demo, end, start

TOPOLOGY = "office"
UNPLUGGED = "node-apd-apd"  # not of the pair that is pinged from the start
WIDTHS = {"a phone": (390, 844), "a desk": (1280, 900)}
SECONDS = 3.0  # of frames, a round
SETTLED = 2.0  # seconds after a page was opened
PATIENCE = 30.0  # seconds for a pair to find a path
EVERY = "0.1"  # seconds between two pings of a pair
LATE = 20.0  # ms: a frame that took longer was not the next one
# Frames a second: 60, of which a screen never gives more, so that a mean is just below.
AT_LEAST = 59.5
AT_MOST = 200  # ms
NO_BROWSER = "No browser to measure in: apt-get install chromium."

COLUMNS = ("where", "frames a second", "over 20 ms", "CPU ms a frame", "drawn after, ms")

Load: TypeAlias = tuple[str, int]  # which width, how many pairs talk

# Begins to note the times of all frames of a while, in ms.
BEGIN = """ms => {
  window.frames = new Promise(done => {
    const times = [];
    const frame = time => {
      times.push(time);
      if (time - times[0] < ms) requestAnimationFrame(frame);
      else done(times);
    };
    requestAnimationFrame(frame);
  });
  return null;
}"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One while of one page."""

    rate: float  # frames a second
    late: float  # share of the frames
    busy: float  # ms of the main thread's CPU, a frame
    delays: list[float]  # ms from an event to its drawing


def measure(rounds: int) -> Table:
    table = Table("The page of nine homes (medians)", COLUMNS)
    if not CHROMIUM:
        table.notes.append(NO_BROWSER)
        return table
    for (width, pairs), seen in looked_at(rounds).items():
        told(table, f"{width}, {pairs} {'pair' if pairs == 1 else 'pairs'} talking", seen)
    return table


def told(table: Table, where: str, seen: list[Seen]) -> None:
    rate = median([each.rate for each in seen])
    late = median([each.late for each in seen])
    spent = median([each.busy for each in seen])
    delays = [ms for each in seen for ms in each.delays]
    drawn = f"{median(delays):.0f}, at most {max(delays):.0f}"
    table.add([where, f"{rate:.1f}", f"{late:.1%}", f"{spent:.1f}", drawn])
    table.at_least(AT_LEAST, "frames/s", f"the page on {where}", rate)
    table.at_most(AT_MOST, "ms", f"the page on {where}: an event is drawn after", max(delays))


def looked_at(rounds: int) -> dict[Load, list[Seen]]:
    demo = start(state.root(), TOPOLOGY)
    found: dict[Load, list[Seen]] = defaultdict(list)
    try:
        lab = Lab.attach(TOPOLOGY)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            for _ in range(rounds):
                watched(browser, demo, lab, found, 1)
            with all_talking(lab) as pairs:
                for _ in range(rounds):
                    watched(browser, demo, lab, found, pairs)
            browser.close()
    finally:
        end(demo)
    return found


def watched(
    browser: Browser, demo: Demo, lab: Lab, found: dict[Load, list[Seen]], pairs: int
) -> None:
    for width, (across, down) in WIDTHS.items():
        page = browser.new_page(viewport={"width": across, "height": down})
        page.goto(demo.url)
        page.wait_for_selector("#drawing svg")
        page.wait_for_timeout(1000 * SETTLED)
        found[width, pairs].append(seen_on(page, lab))
        page.close()


def seen_on(page: Page, lab: Lab) -> Seen:
    asked = page.context.new_cdp_session(page)
    asked.send("Performance.enable", {"timeDomain": "threadTicks"})
    before, told = busy(asked), page.evaluate("punchlab.delays.length")
    page.evaluate(BEGIN, 1000 * SECONDS)
    lab.unplug(UNPLUGGED)
    lab.plug(UNPLUGGED)
    times = page.evaluate("frames")
    spent = busy(asked) - before
    delays = page.evaluate("from => punchlab.delays.slice(from)", told)
    took = [later - sooner for sooner, later in pairwise(times)]
    return Seen(
        rate=1000 * len(took) / sum(took),
        late=sum(ms > LATE for ms in took) / len(took),
        busy=1000 * spent / len(took),
        delays=delays,
    )


def busy(asked: CDPSession) -> float:
    """Seconds of CPU that the page's main thread has spent."""
    metrics = asked.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


@contextmanager
def all_talking(lab: Lab) -> Iterator[int]:
    """Everybody pings everybody, and has found a path to each; how many pairs these are."""
    hosts = lab.topology().hosts
    pairs = list(combinations(hosts, 2))
    running = list[subprocess.Popen[bytes]]()
    for host in hosts:
        others = [b.overlay[0] for a, b in pairs if a is host]
        pings = " ".join(f"ping -qi{EVERY} {address} >/dev/null &" for address in others)
        running.append(lab.popen(host.name, ["sh", "-c", f"{pings} wait"]))
    try:
        for a, b in pairs:
            lab.wait_for_event({"event": "path", "host": a.name, "peer": b.name}, PATIENCE)
        yield len(pairs)
    finally:
        for process in running:
            process.kill()
            process.wait()
