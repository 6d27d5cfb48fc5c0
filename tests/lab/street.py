"""One lab with every kind of NAT side by side: a router each, and hosts behind it to measure from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, get_args

from lab.model.nat import PRESETS, Nat, parse_nat
from lab.model.topology import Topology, loads
from lab.model.words import Filtering

JUDGE = "judge"
JUDGE_ADDRESSES = ("192.0.2.10", "192.0.2.20")
SHORT = {
    "endpoint-independent": "ei",
    "address-dependent": "ad",
    "address-and-port-dependent": "apd",
}

# The nine, named by mapping and filtering; two hosts each, so that ports can collide.
PAIRS: dict[str, dict[str, Any]] = {
    f"{SHORT[mapping]}-{SHORT[filtering]}": {"mapping": mapping, "filtering": filtering}
    for mapping, filtering in product(get_args(Filtering)[1:], repeat=2)
}
# What the presets leave out.
SPECIALS: dict[str, dict[str, Any]] = {
    "parity": {"ports": "parity"},
    "sequential": {"ports": "sequential", "hairpin": True},
    "by-endpoint": {"preset": "symmetric", "scope": "endpoint"},
    "paired": {"ports": "random", "hairpin": True},
    "arbitrary": {"ports": "random", "pool": "arbitrary"},
    "crowded-linux": {"preset": "home-linux"},
    "crowded-cone": {"preset": "port-restricted-cone"},
    "crowded-symmetric": {"preset": "symmetric"},
    "open-once-used": {"mapping": "none", "filtering": "endpoint-independent"},
    "elastic-once-used": {"mapping": "one-to-one", "filtering": "address-dependent"},
}
# Short enough to see the end of.
TIMED: dict[str, dict[str, Any]] = {
    "two-seconds": {"timeout": 2},
    "two-seconds-cone": {"timeout": 2, "filtering": "endpoint-independent"},
    "two-and-five": {"preset": "home-linux", "timeout": 5, "timeout_unanswered": 2},
    "outbound-only": {"timeout": 2, "refresh": "outbound"},
    "age-alone": {"preset": "absolute-lifetime", "timeout": 5, "lifetime": 5},
    "dies-of-age": {"preset": "absolute-lifetime", "timeout": 2, "lifetime": 4},
}
POOLS = {"paired": 4, "arbitrary": 4}
ALONE = {"elastic-once-used", *TIMED}

WORDS: Mapping[str, object] = {
    **PAIRS,
    **{name: {"preset": name} for name in PRESETS},
    **SPECIALS,
    **TIMED,
}
NATS: dict[str, Nat] = {name: parse_nat(words) for name, words in WORDS.items()}


def street(names: Iterable[str] = WORDS) -> Topology:
    lines = [f"host.{JUDGE}.addresses = {json.dumps(JUDGE_ADDRESSES)}"]
    free = 0
    for name in names:
        words = WORDS[name]
        assert isinstance(words, dict)
        pairs = ", ".join(f"{word} = {json.dumps(value)}" for word, value in words.items())
        lines.append(f"[router.{name}]\nnat = {{ {pairs} }}")
        if name in POOLS:
            pool = [f"203.0.113.{200 + free + n}" for n in range(POOLS[name])]
            lines.append(f"addresses = {json.dumps(pool)}")
            free += POOLS[name]
        lines += [f'[host.{host}]\non = "{name}"' for host in hosts_of(name)]
    return loads("\n".join(lines), "street.toml")


def hosts_of(name: str) -> list[str]:
    """One behind each preset, two where ports are to collide."""
    return [f"{name}-1"] if name in PRESETS or name in ALONE else [f"{name}-1", f"{name}-2"]
