"""Names: of machines, of the internet's hosts, and of the interfaces that carry them.

A machine's name is a DNS label and a folder under /run/netns. The interfaces that are named after
machines (the internet's ends, a router's ports) have room for 15 characters, so a longer name is
shortened there, with digits of its hash to tell two of them apart.
"""

from __future__ import annotations

import re
from hashlib import sha256

INTERFACE_SIZE = 15  # IFNAMSIZ without the closing zero
LABEL_SIZE = 63  # RFC 1035 §2.3.4
HOSTNAME_SIZE = 253
HASH_SIZE = 8

MACHINE = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")

# Names that stand for something else where machines' names are used: in `lab.down all`, among the
# interfaces of a namespace, under /proc/sys/net/ipv4/conf, in the hosts file, or among the lab's logs.
RESERVED = frozenset(
    ("internet", "all", "default", "localhost", "lo", "wan0", "lan0", "eth0", "keeper", "delayline")
)


def parse_machine_name(name: str) -> str:
    if name in RESERVED:
        raise ValueError("a reserved name")
    if len(name) > LABEL_SIZE:
        raise ValueError(f"a name has at most {LABEL_SIZE} characters, not {len(name)}")
    if not MACHINE.fullmatch(name):
        raise ValueError("a name has small letters, digits and inner hyphens, a letter first")
    return name


def parse_hostname(text: str) -> str:
    labels = text.split(".")
    if len(text) > HOSTNAME_SIZE or not all(
        len(label) <= LABEL_SIZE and LABEL.fullmatch(label) for label in labels
    ):
        raise ValueError(f'"{text}" is not a host name such as "nyc.derp.example"')
    if labels[-1].isdigit():
        raise ValueError(f'"{text}" is an address, not a host name such as "nyc.derp.example"')
    return text


def port_name(machine: str) -> str:
    """The interface named after a machine."""
    if len(machine) <= INTERFACE_SIZE:
        return machine
    digits = sha256(machine.encode()).hexdigest()[:HASH_SIZE]
    return f"{machine[: INTERFACE_SIZE - HASH_SIZE - 1]}~{digits}"
