"""NATs by name. A name only expands to words, and the words are what the lab makes and measures."""

from __future__ import annotations

from types import MappingProxyType

from lab.model.words import Nat

ENDPOINT_INDEPENDENT = "endpoint-independent"
ADDRESS_DEPENDENT = "address-dependent"
ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"

PRESETS = MappingProxyType(
    {
        nat.preset: nat
        for nat in (
            Nat(mapping="none", filtering="none", preset="open"),
            Nat(preset="port-restricted-cone"),
            Nat(mapping="address-and-port-dependent", ports="random", preset="symmetric"),
        )
        if nat.preset
    }
)
