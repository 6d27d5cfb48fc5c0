"""Which machines, and which of their interfaces, a capture is of."""

from __future__ import annotations

from lab.errors import BadRequest
from lab.model.plan import Plan


def selected(plan: Plan, host: str = "", link: str = "") -> dict[str, str]:
    """Each machine with the one interface that is wanted, or an empty text for all of them."""
    machines = [plan.machine(host)] if host else plan.machines
    if not link:
        return dict.fromkeys([machine.name for machine in machines], "")
    wires = {wire.name: wire for wire in plan.wires}
    if link not in wires:
        raise BadRequest(f"there is no link {link} in this lab", f"it has: {', '.join(wires)}")
    ends = dict((wires[link].a, wires[link].b))
    if host and host not in ends:
        raise BadRequest(f"{host} is no end of the link {link}", f"it joins {' and '.join(ends)}")
    return {host: ends[host]} if host else ends
