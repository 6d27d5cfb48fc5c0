"""Which machines, and which of their interfaces, a capture is of."""

from __future__ import annotations

from lab.errors import BadRequest
from lab.model.plan import Plan


def selected(plan: Plan, host: str = "", link: str = "") -> dict[str, str]:
    """Each machine with the one interface that is wanted, or an empty text for all of them."""
    names = [machine.name for machine in plan.machines]
    if host and host not in names:
        raise BadRequest(f"there is no machine {host} in this lab", f"it has: {', '.join(names)}")
    if not link:
        return dict.fromkeys([host] if host else names, "")
    wires = {wire.name: wire for wire in plan.wires}
    if link not in wires:
        raise BadRequest(f"there is no link {link} in this lab", f"it has: {', '.join(wires)}")
    ends = dict((wires[link].a, wires[link].b))
    if host and host not in ends:
        raise BadRequest(f"{host} is no end of the link {link}", f"it joins {' and '.join(ends)}")
    return {host: ends[host]} if host else ends
