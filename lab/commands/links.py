"""The links of a running lab: see them, bend them, pull one."""

from __future__ import annotations

from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, show


@command("name", name="links", help={"name": "the lab's name", "json": "one JSON document"})
def links_(c: Any, name: str, json: bool = False) -> None:
    """Every link as it is now.

    Example: invoke lab.links lossy
    """
    from lab import client
    from lab.view import terminal

    found = client.Lab.attach(name).links()
    show(found) if json else print(terminal.links(found))


@command(
    "name",
    "link",
    help={
        "name": "the lab's name",
        "link": "a link, called after the machine whose uplink it is: see lab.links",
        "way": "up (from the machine to the net), down (towards it), or both",
        "delay": "one way: 40ms",
        "jitter": "how far the delay varies to either side: 5ms",
        "loss": "2%",
        "burst": "how many packets are lost in a row, on average",
        "rate": "20mbit, or none",
        "reorder": "how many packets overtake those that wait: 10%",
        "duplicate": "1%",
        "mtu": "bytes, at both ends",
        "icmp-blackhole": "lose every ICMP error, as bad firewalls do",
        "no-icmp-blackhole": "let ICMP errors through again",
        "clean": "a link without faults, but for what else is named",
        "down": "pull it",
        "up": "put it back",
        "json": "one JSON document",
    },
)
def link(
    c: Any,
    name: str,
    link: str,
    way: str = "both",
    delay: str = "",
    jitter: str = "",
    loss: str = "",
    burst: str = "",
    rate: str = "",
    reorder: str = "",
    duplicate: str = "",
    mtu: str = "",
    icmp_blackhole: bool = False,
    no_icmp_blackhole: bool = False,
    clean: bool = False,
    down: bool = False,
    up: bool = False,
    json: bool = False,
) -> None:
    """Bend a link, live. What is not named keeps its value.

    Example: invoke lab.link double-nat home-b --delay 40ms --loss 2%
    """
    from lab import client
    from lab.view import terminal

    if down and up:
        raise Exit("--down and --up at once: a link is one or the other", 2)
    if icmp_blackhole and no_icmp_blackhole:
        raise Exit("--icmp-blackhole and --no-icmp-blackhole at once", 2)
    values = {
        "delay": delay,
        "jitter": jitter,
        "loss": loss,
        "burst": burst,
        "rate": rate,
        "reorder": reorder,
        "duplicate": duplicate,
        "mtu": mtu,
        "icmp": "drop" if icmp_blackhole else "pass" if no_icmp_blackhole else "",
    }
    named = {key: value for key, value in values.items() if value}
    lab = client.Lab.attach(name)
    answer = lab.link(link, way=way, clean=clean, plugged=up if up or down else None, **named)
    show(answer) if json else print(terminal.link(answer))
