"""A NAT in words: how a router maps and filters, as RFC 4787 names it.

Mapping: which of the packets of one inside endpoint leave from the same external endpoint.
Filtering: who outside may send to that external endpoint. Each is

    endpoint-independent         whoever the other side is
    address-dependent            the same address on the other side
    address-and-port-dependent   the same address and port on the other side

and `none` where a router does not map (it routes) or does not filter; `one-to-one` maps whole
addresses (an elastic IP). The rest of the words say what happens to ports, how long a mapping
lives, and where real boxes are strange. A preset (`lab.model.presets`) is only a name for words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mapping = Literal[
    "none",
    "one-to-one",
    "endpoint-independent",
    "address-dependent",
    "address-and-port-dependent",
]
Filtering = Literal[
    "none",
    "endpoint-independent",
    "address-dependent",
    "address-and-port-dependent",
]
Ports = Literal["preserve", "random", "sequential", "parity"]


@dataclass(frozen=True, slots=True)
class Nat:
    mapping: Mapping = "endpoint-independent"
    filtering: Filtering = "address-and-port-dependent"
    ports: Ports = "preserve"
    # RFC 4787 §6: may two inside hosts meet through their external endpoints?
    hairpin: bool = False
    # Whose permission a packet out gives: of its mapping, or of its inside endpoint (all mappings).
    scope: Literal["mapping", "endpoint"] = "mapping"
    # Seconds without traffic until a mapping dies; before the first answer, when that differs.
    timeout: int = 120
    timeout_unanswered: int | None = None
    # RFC 4787 §4.3: which direction keeps a mapping alive.
    refresh: Literal["both", "outbound"] = "both"
    # Seconds until a mapping dies of age, used or not.
    lifetime: int | None = None
    # RFC 4787 §4.1: one external address for each inside host, or any for each mapping.
    pool: Literal["paired", "arbitrary"] = "paired"
    icmp: Literal["translate", "drop"] = "translate"
    # Two inside hosts want one port: `honest` keeps the mapping words true, `kernel` breaks them.
    collisions: Literal["honest", "kernel"] = "honest"
    # What becomes of a packet from outside that nobody asked for.
    unsolicited: Literal["drop", "accept"] = "drop"
    # False: nothing but TCP 443 passes.
    udp: bool = True
    preset: str | None = None


class NatError(Exception):
    """Words that mean nothing, or that no backend can do together."""

    def __init__(self, key: str, problem: str, hint: str = "") -> None:
        super().__init__(key, problem, hint)
        self.key, self.problem, self.hint = key, problem, hint

    def __str__(self) -> str:
        line = f"{self.key}: {self.problem}" if self.key else self.problem
        return f"{line} ({self.hint})" if self.hint else line
