"""What commands print for people: plain lines that also read well in a log."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.model.bending import describe
from lab.model.link import PERFECT
from lab.model.plan import Plan

Json = Mapping[str, Any]
CALLED = "PUNCHLAB_CALLED"  # as the script says that it was called


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Left-aligned columns, two spaces apart; the last one runs free."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return "\n".join(
        indent + "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )


def lab_is_up(plan: Plan, name: str, status: Json, seconds: float) -> str:
    """The answer of lab.up: the drawing, who runs where, how long it took, and what to do next."""
    nodes = [host["name"] for host in status["hosts"] if runs(host, "node")]
    lines = [plan.drawing.rstrip(), "", hosts(status), ""]
    lines += [f"{name} is up: {len(status['hosts'])} machines in {seconds:.2f} s"]
    if len(nodes) > 1:
        lines += [f"next: {program()} lab.ping {name} {nodes[0]} {nodes[1]} --until-direct"]
    return "\n".join(lines)


def program() -> str:
    """What people typed to get here: the installed program, Invoke, or the script that runs tasks.py."""
    name = Path(sys.argv[0]).name
    if name == "tasks.py":
        return os.environ.get(CALLED, "./punchlab")
    return "punchlab" if name == "punchlab" else "invoke"


def runs(host: Json, daemon: str) -> bool:
    return bool(host["daemon"]) and host["daemon"]["name"] == daemon


def hosts(status: Json) -> str:
    return columns([host_row(host) for host in status["hosts"]], indent="  ")


def host_row(host: Json) -> list[str]:
    daemon = host["daemon"]
    does = f"{daemon['name']} {daemon['state']}, pid {daemon['pid']}" if daemon else "-"
    return [host["name"], host["kind"], " ".join(host["addresses"]) or "-", does]


def status(now: Json) -> str:
    """The answer of lab.status."""
    lines = [f"{now['lab']} ({now['topology']}), up {now['up_seconds']:.0f} s", "", hosts(now)]
    if now["paths"]:
        lines += ["", columns([path_row(path) for path in now["paths"]], indent="  ")]
    return "\n".join(lines)


def path_row(path: Json) -> list[str]:
    pair = f"{path['from']} -> {path['to']}"
    if path["kind"] == "none":
        return [pair, "none yet", ""]
    rtt = f"{path['rtt_ms']:.1f} ms" if path["rtt_ms"] is not None else ""
    return [pair, f"{path['kind']} via {path['via']}", rtt]


def plan(planned: Plan, bent_by: str = "") -> str:
    """The answer of lab.plan: every machine with its interfaces, routes and rules."""
    blocks = [f"{planned.topology}: {planned.title}", planned.drawing.rstrip()]
    for machine in planned.machines:
        lines = [f"{machine.name} ({machine.kind})"]
        for interface in machine.interfaces:
            where = f", port of {interface.master}" if interface.master else ""
            addresses = " ".join(interface.addresses) or "no address"
            lines.append(f"  {interface.name}: {addresses} ({interface.kind}{where})")
        for route in machine.routes:
            via = f" via {route.via}" if route.via else ""
            lines.append(f"  route {route.to}{via} dev {route.dev}")
        for rules in machine.rules:
            lines.append(f"  rules ({rules.backend}): {rules.why}")
            lines += [f"    {line}" for line in rules.text.strip().splitlines()]
        blocks.append("\n".join(lines))
    if bent := [wire for wire in planned.wires if wire.quality != PERFECT]:
        rows = [[wire.name, describe(wire.quality)] for wire in bent]
        made = f"\n  made here by {bent_by}" if bent_by else ""
        blocks.append("links\n" + columns(rows, indent="  ") + made)
    started = [[daemon.host, daemon.runs] for daemon in planned.daemons]
    blocks.append("daemons\n" + columns(started, indent="  ") if started else "no daemons")
    return "\n\n".join(blocks)


def links(found: Sequence[Json]) -> str:
    """The answer of lab.links: each one as it is."""
    return columns(
        [[one["link"], " - ".join(one["between"]), _link_is(one) + _by(one)] for one in found]
    )


def link(answer: Json) -> str:
    """The answer of lab.link: what changed, what the link is now, and what does it."""
    now = answer["link"]
    if not answer["changed"]:
        return f"{now['link']}: {_link_is(now)}, as it was"
    lines = [f"{now['link']}: {change}" for change in answer["changed"]]
    lines += [f"in force, for open connections too; it is now: {_link_is(now)}{_by(now)}"]
    return "\n".join(lines)


def _link_is(one: Json) -> str:
    return str(one["words"]) if one["is_plugged"] else f"unplugged ({one['words']})"


def _by(one: Json) -> str:
    """What makes it so."""
    return f"  [{', '.join(one['by'])}]" if one["by"] else ""


def nat(answer: Json) -> str:
    """The answer of lab.nat: what changed, what the router is now, and that flows feel it."""
    router = answer["router"]
    is_now = f"{answer['nat']} at {answer['wan']}" if "nat" in answer else ""
    if not answer["changed"]:
        return f"{router}: {is_now}, as it was; --flush would forget its flows"
    lines = [f"{router}: {change}" for change in answer["changed"]]
    lines += [f"rules ({why})" for why in answer["rules"]]
    flows = f"{answer['forgotten']} flow{'s' if answer['forgotten'] != 1 else ''} forgotten"
    return "\n".join([*lines, f"in force: {flows}, so the next packet of each is a new one"])


def cut(answer: Json) -> str:
    """The answer of lab.cut: what is dropped, and where."""
    a, b = answer["a"], answer["b"]
    arrow = "->" if answer["one_way"] else "<->"
    does = "TCP is reset, the rest dropped" if answer["reset"] else "dropped"
    lines = [f"{a} {arrow} {b}: {does}, of open flows too", *(f"  {w}" for w in answer["where"])]
    if answer["also"]:
        shared = ", ".join(answer["also"])
        lines += [f"  sharing an address with one of them, and so cut off too: {shared}"]
    return "\n".join(lines)


def cuts(found: Sequence[Json]) -> str:
    """The answer of lab.cuts: each cut, and how many packets met it."""
    rows = [
        [each["a"], "->" if each["one_way"] else "<->", each["b"], f"{each['dropped']} dropped"]
        for each in found
    ]
    return columns(rows) if rows else "nothing is cut"


def restored(answer: Json) -> str:
    """The answer of lab.restore."""
    arrow = "->" if answer["one_way"] else "<->"
    return f"{answer['a']} {arrow} {answer['b']}: passes again; {answer['dropped']} packets were dropped"


def moved(answer: Json) -> str:
    """The answer of lab.move."""
    host, has = answer["host"], " ".join(answer["has"])
    if answer["was"] == answer["now"]:
        return f"{host} is plugged into {answer['now']} already, as {has}"
    return f"{host}: {answer['was']} -> {answer['now']}, {' '.join(answer['had'])} -> {has}"


def captured(told: Json) -> str:
    """The answer of lab.capture: how much, and whether it is all."""
    line = (
        f"{told['packets']} packets of {told['interfaces']} interfaces in {told['seconds']:.1f} s"
    )
    line += f": {told['out']}"
    if told["dropped"]:
        line += (
            f"\n{told['dropped']} more came too fast, and are missing; --host or --link takes less"
        )
    return line


def doctor(found: Sequence[Json]) -> str:
    """The answer of lab.doctor: each capability, yes or no, and what to do."""
    rows = [[word(one), one["name"], (one["ok"] and one["found"]) or one["hint"]] for one in found]
    return columns(rows)


def word(capability: Json) -> str:
    if capability["ok"]:
        return "yes"
    return "NO" if capability["needed"] else "no, not needed"
