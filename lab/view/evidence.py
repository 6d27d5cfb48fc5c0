"""What a capture proves, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lab.view.sequence import since
from lab.view.terminal import columns

Json = Mapping[str, Any]


def text(told: Json, name: str) -> str:
    blocks = [f"{name}: {told['packets']} packets in {told['seconds']:.1f} s{_missed(told)}"]
    if told["flows"]:
        rows = [[_pair(flow), _counts(flow["counts"]), _routes(flow)] for flow in told["flows"]]
        blocks.append("through the tunnels, TCP aside\n" + columns(rows, indent="  "))
    else:
        blocks.append("nothing went through a tunnel, TCP aside")
    if told["changes"]:
        lines = [line for change in told["changes"] for line in _change(change)]
        blocks.append("\n".join(["changes of path, with the second before and after", *lines]))
    blocks += [_upgrade(each) for each in told["upgrades"]]
    blocks.append(_plaintext(told["plaintext"]))
    return "\n\n".join(blocks)


def _missed(told: Json) -> str:
    if not told["missed"]:
        return ", none missed"
    return f"; it missed {told['missed']} more, which may seem lost below"


def _pair(flow: Json) -> str:
    return f"{flow['source']} -> {flow['target']}"


def _counts(counts: Json) -> str:
    words = [f"{counts[each]} {each}" for each in ("sent", "lost", "duplicated", "reordered")]
    if counts["longest_silence"]:
        silence, pause = counts["longest_silence"] * 1e3, counts["longest_pause"] * 1e3
        words.append(f"silent for up to {silence:.1f} ms (its sender for {pause:.1f} ms)")
    return ", ".join(words)


def _routes(flow: Json) -> str:
    return ", ".join(f"{count} {_ROUTES[route]}" for route, count in flow["routes"].items())


_ROUTES = {"relay": "relayed", "direct": "direct", "peer-relay": "by a peer relay", "none": "gone"}


def _change(change: Json) -> Iterator[str]:
    host, peer = change["host"], change["peer"]
    via = f" via {change['via']}" if change["via"] else ""
    was = change["was"] or "not known"
    yield f"  {change['at']:.3f}  {host} to {peer}: {was} -> {change['now']}{via}"
    for way, counts in ((f"{host} -> {peer}", "there"), (f"{peer} -> {host}", "back")):
        yield f"    {way}: {_counts(change[counts])}"


def _upgrade(upgrade: Json) -> str:
    rows = [
        [since(upgrade, step).rjust(11), f"{step['source']} -> {step['target']}", step["what"]]
        for step in upgrade["steps"]
    ]
    title = f"from the relay to a direct path: {upgrade['a']} and {upgrade['b']}"
    return f"{title}, from {upgrade['begins']:.3f} on\n{columns(rows)}"


def _plaintext(found: Json) -> str:
    if not found["searched_for"]:
        return "plaintext: nothing went through a tunnel that could be searched for"
    words = f"plaintext: {found['searched_for']} texts searched for on {found['links']} interfaces"
    outside = f"{words} outside the tunnels: {_where(found['found_on_links']) or 'not found'}"
    inside = _where(found["found_in_tunnels"]) or "not found, so this proves nothing"
    return f"{outside}; in the tunnels, for control: {inside}"


def _where(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} packets)" for name, count in found.items())
