"""See it happen: a lab, its paths and what moves on its wires, live."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from lab.commands.command import command, overrides
from lab.commands.page import HOST, PORT, Page
from lab.commands.staging import Stage, staged
from lab.errors import BadRequest, LabError

if TYPE_CHECKING:
    from lab.client import Lab
    from lab.view.demo.asciicast import Asciicast
    from lab.view.demo.screen import About
    from lab.view.scene import Scene

Tick: TypeAlias = Callable[[float], bool]  # shows what is to be seen now; says whether to go on

RECORDED = (80, 24)  # columns and rows of a recording that nobody watches


@command(
    "topology",
    iterable=["set"],
    help={
        "topology": "a topology, or a lab that is up",
        "name": "the lab's name, if not the topology's",
        "set": "override one value: --set router.home-a.nat=symmetric; may be repeated",
        "pair": "the two nodes to watch, as node-a,node-b; else the first two",
        "plain": "lines instead of a screen, for logs",
        "record": "also write what the screen shows to F.cast, which `asciinema play` plays",
        "seconds": "end by itself after so many",
        "keep": "leave the lab up at the end",
        "web": "as a page in the browser, instead of on the terminal",
        "host": "where the page is served; any other than 127.0.0.1 opens it to others",
        "port": "the page's port; 0 is any that is free",
    },
)
def demo(
    c: Any,
    topology: str,
    name: str = "",
    set: Any = None,
    pair: str = "",
    plain: bool = False,
    record: str = "",
    seconds: float = 0.0,
    keep: bool = False,
    web: bool = False,
    host: str = HOST,
    port: int = PORT,
) -> None:
    """Watch a path move from relay to direct, and break it.

    Example: invoke lab.demo double-nat

    Brings the lab up, or attaches to it if it is up. Keys cut the direct way, kill the relay, unplug a node
    and change a NAT, and it is seen to heal. Links get a delay where the topology has none.
    """
    if web:
        on_terminal = {"plain": plain, "record": record, "seconds": seconds}
        _refuse(on_terminal, "is for the terminal, and --web for the browser")
    else:
        of_page = {"host": host != HOST, "port": port != PORT}
        _refuse(of_page, "is where a page is served; add --web")
    is_live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not plain
    with ExitStack() as stack:
        page = Page(host, port) if web else None
        cast = _recording(stack, record, is_live, topology) if record else None
        stage = stack.enter_context(staged(topology, name, overrides(set), pair, keep))
        page.show(stage) if page else _watch(stage, is_live, cast, seconds)


def _refuse(options: Mapping[str, object], why: str) -> None:
    for name, given in options.items():
        if given:
            raise BadRequest(f"--{name} {why}")


def _recording(stack: ExitStack, file: str, is_live: bool, title: str) -> Asciicast:
    from lab.view.demo.asciicast import Asciicast

    size = shutil.get_terminal_size() if is_live else RECORDED
    cast = Asciicast(file, size, title, through=sys.stdout if is_live else None)
    stack.callback(cast.close)
    return cast


def _watch(stage: Stage, is_live: bool, cast: Asciicast | None, seconds: float) -> None:
    """Until somebody has seen enough; then what it was, in a line."""
    from lab.judge.feed import Feed
    from lab.view.demo.plain import Plain, summary
    from lab.view.demo.play import Inbox, play
    from lab.view.demo.screen import About
    from lab.view.scene import Scene

    plan = stage.lab.plan()
    scene, inbox = Scene(plan), Inbox()
    with ExitStack() as stack:
        stack.enter_context(Feed(stage.lab, inbox.put, stage.pair))
        about = About(stage.lab.name, plan.title, stage.pair, time.monotonic(), stage.note)
        ticks: list[Tick] = [] if is_live else [Plain(scene, about, _line).tick]
        if is_live or cast:
            ticks.append(_screen(stack, stage.lab, scene, about, is_live, cast))
        until = about.started + seconds if seconds else None
        with suppress(KeyboardInterrupt):
            play(
                scene,
                inbox,
                tick=lambda now: all(tick(now) for tick in ticks),
                moved=lambda: _replan(scene, stage.lab),
                until=until,
            )
    print(summary(scene, about, time.monotonic()), flush=True)


def _replan(scene: Scene, lab: Lab) -> None:
    with suppress(LabError, OSError):  # it ends just now
        scene.replan(lab.plan())


def _screen(
    stack: ExitStack,
    lab: Lab,
    scene: Scene,
    about: About,
    is_live: bool,
    cast: Asciicast | None,
) -> Tick:
    from lab.view.demo.keyboard import keyboard
    from lab.view.demo.terminal import Terminal, console_for

    console = console_for(cast or sys.stdout, None if is_live else RECORDED)
    pressed = stack.enter_context(keyboard()) if is_live else str  # else nobody presses any
    return stack.enter_context(Terminal(lab, scene, about, console, _nats(lab)).shown(pressed))


def _nats(lab: Lab) -> dict[str, str]:
    """Each router's NAT as it is by now."""
    from lab.model.live import nat_words

    try:
        topology = lab.topology()
    except BadRequest:  # it was made from a plan
        return {}
    return {router.name: nat_words(topology, router.name) for router in topology.routers}


def _line(text: str) -> None:
    print(text, flush=True)
