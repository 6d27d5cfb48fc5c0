"""Words to rules: what one router loads so that it behaves as its words say.

iptables is the first language, nftables speaks where iptables cannot be honest. Each set loads in
one step (`iptables-restore`, `nft -f`) and says in one sentence why it is in its language.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lab.model.plan import Ruleset
from lab.model.words import Nat

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "rules"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the words apply: one router's two sides."""

    wan: str
    lan: str
    wan_addresses: tuple[str, ...]
    lan_net: str
    inside_hosts: tuple[str, ...] = ()


def render(nat: Nat, site: Site) -> tuple[Ruleset, ...]:
    if nat.mapping == "none" and nat.filtering == "none":
        return ()
    why = (
        "one mapping for each inside endpoint, as MASQUERADE keeps it while no port is wanted twice"
    )
    if nat.mapping != "endpoint-independent":
        why = "MASQUERADE --random-fully makes a new mapping for each destination endpoint"
    return (Ruleset("iptables", _text("iptables.j2", nat, site), why),)


def sysctls(nat: Nat) -> tuple[tuple[str, str], ...]:
    """Conntrack's patience with UDP; both are settable in a namespace of its own."""
    if nat.mapping == "none" and nat.filtering == "none":
        return ()
    unanswered = nat.timeout_unanswered or nat.timeout
    return (
        ("net.netfilter.nf_conntrack_udp_timeout", str(unanswered)),
        ("net.netfilter.nf_conntrack_udp_timeout_stream", str(nat.timeout)),
    )


def _text(template: str, nat: Nat, site: Site) -> str:
    return _environment().get_template(template).render(nat=nat, site=site)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # 0.1 s, so only when needed

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
