"""A router's words as a sentence for people."""

from __future__ import annotations

from lab.model.words import Nat

_MAPS = {
    "none": "maps nothing",
    "one-to-one": "maps whole addresses",
    "endpoint-independent": "maps to one endpoint wherever it goes",
    "address-dependent": "maps anew for each address",
    "address-and-port-dependent": "maps anew for each address and port",
}
_ADMITS = {
    "none": "lets everybody in",
    "endpoint-independent": "lets everybody in at a mapped endpoint",
    "address-dependent": "lets in the addresses that were sent to",
    "address-and-port-dependent": "lets in only the endpoints that were sent to",
}


def mapping_in_words(nat: Nat) -> str:
    if not nat.udp:
        return "lets nothing out but TCP 443"
    admits = _ADMITS[nat.filtering]
    if nat.mapping == "none" and nat.filtering == "endpoint-independent":
        admits = "lets everybody in where somebody has sent from"
    hairpin = ", hairpins" if nat.hairpin else ""
    return f"{_MAPS[nat.mapping]}, {admits}{hairpin}"
