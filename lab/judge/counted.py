"""What was told and counted of a pair's packets: how many went out, as what, and where they ended. Pure.

A node tells how often it has pinged each endpoint of its peer. Each router remembers flows, so it shows as
what a ping left and whether anything came back; and each of its rules that drop counts what it has dropped,
though not from whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lab.judge.passages import Passage, elsewhere, owner, towards
from lab.judge.situation import NOT_OURS, Drop, Pinged, Situation
from lab.model.cuts import seen
from lab.model.explanation import Finding


def unanswered(now: Situation) -> Iterator[Finding]:
    """Of a pair that does not meet: what each has sent the other, and what became of it."""
    for end in now.ends:
        there = seen(now.plan, now.other(end), by=end)
        told = [each for each in now.pings.get(end, ()) if owner(there, each.endpoint)]
        flows = {each.to: each for each in towards(now, end)}
        for ping in told:
            if ping.sent:
                evidence = _became(now, end, flows.get(ping.endpoint))
                yield Finding("evidence", end, _pinged(end, ping, there), tuple(evidence))
        pinged = [ping.endpoint for ping in told]
        for flow in flows.values():
            if flow.to not in pinged:
                evidence = _became(now, end, flow)
                yield Finding("evidence", end, _sent(end, flow, there), tuple(evidence))
        if not told and not flows:
            yield from _nothing(now, end)


def _pinged(end: str, ping: Pinged, there: Mapping[str, str]) -> str:
    to = f"{ping.endpoint} ({owner(there, ping.endpoint)})"
    came = f"; {ping.received} came from there" if ping.received else ""
    pongs = _times(ping.pongs, "pong") + _last(ping.last_pong)
    return f"{end} has sent {_times(ping.sent, 'ping')} to {to}{_last(ping.last)}: {pongs}{came}"


def _last(age: float | None) -> str:
    return "" if age is None else f", the last one {age:.0f} s ago"


def _sent(end: str, flow: Passage, there: Mapping[str, str]) -> str:
    to = f"{flow.to} ({owner(there, flow.to)})"
    back = "packets" if flow.is_answered and not flow.answered else _times(flow.answered, "packet")
    sent = _times(flow.sent, "packet") if flow.sent else "packets"
    return f"{end} has sent {sent} to {to}: {back} came back"


def _nothing(now: Situation, end: str) -> Iterator[Finding]:
    """Whatever it tried has not left, or it knows of nowhere to send to."""
    told = now.endpoints.get(now.other(end), ())
    there = seen(now.plan, now.other(end), by=end)
    if told and not any(owner(there, each) for each in told):
        sentence = (
            f"{now.other(end)} advertises no endpoint that {end} can reach: {', '.join(told)}"
        )
        yield Finding("evidence", end, sentence)
        return
    evidence = tuple(_outward_drops(now, end))
    is_counted = any(router.name in now.flows for router in now.way(end))
    if evidence or (is_counted and now.endpoints.get(now.other(end))):
        sentence = f"nothing of {end}'s has left for {now.other(end)}"
        yield Finding("evidence", end, sentence, evidence)


def _became(now: Situation, end: str, flow: Passage | None) -> Iterator[str]:
    """Along its way: as what it left, and who may have dropped it."""
    yield from _outward_drops(now, end)
    if flow is not None:
        yield from _left_as(now, end, flow)
    if flow is None or not flow.is_answered:
        for router in reversed(now.way(now.other(end))):
            for drop in _inward(now, router.name):
                yield _dropped(router.name, drop, flow.sent if flow else 0)


def _left_as(now: Situation, end: str, flow: Passage) -> Iterator[str]:
    for who, known in elsewhere(now, end):
        if known.inside == flow.inside and known.outside != flow.outside:
            yield f"{flow.last}: it left from {flow.outside}, and {who} knows it as {known.outside}"
            return
    yield f"{flow.last}: it left from {flow.outside}"


def _outward_drops(now: Situation, end: str) -> Iterator[str]:
    for router in now.way(end):
        for drop in now.drops.get(router.name, ()):
            if drop.packets and (_is_outward(drop) or not _is_ours(drop)):
                yield _dropped(router.name, drop, drop.packets)


def _inward(now: Situation, router: str) -> list[Drop]:
    found = now.drops.get(router, ())
    return [each for each in found if each.packets and not _is_outward(each)]


def _is_outward(drop: Drop) -> bool:
    return " -o " in drop.rule


def _is_ours(drop: Drop) -> bool:
    """Of a rule that somebody has put there by hand it is not known which way it works."""
    return drop.words != NOT_OURS


def _dropped(router: str, drop: Drop, sent: int) -> str:
    others = " from all senders" if drop.packets > sent else ""
    counted = f"{_times(drop.packets, 'packet')}{others} dropped"
    return f"{router}: {counted}, {drop.words} ({drop.rule})"


def answered(now: Situation, end: str) -> Iterator[str]:
    """Of a pair that meets: the flow, as it was seen on the way."""
    for flow in towards(now, end):
        if flow.is_answered:
            shown = f"{flow.last}: {flow.inside} as {flow.outside}"
            counts = (
                f": {_times(flow.sent, 'packet')} out, {flow.answered} back" if flow.sent else ""
            )
            yield f"{shown} <-> {flow.to}{counts}"


def _times(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"
