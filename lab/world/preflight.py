"""What this machine can do for a lab: each capability tried, not guessed.

    python -m lab.world.preflight --json

The trials that make something run in throw-away namespaces, so nothing of the machine is touched. Each
capability says whether a lab needs it, what was found, and how to get it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from lab.world.programs import find, search_path

_PATIENCE = 60  # seconds for one trial, on a very busy machine
_OWN_RUN = "mount -t tmpfs tmpfs /run\n"  # iptables keeps its lock there


@dataclass(frozen=True, slots=True)
class Capability:
    name: str
    ok: bool
    needed: bool
    found: str  # what was seen: a path, or the words of what failed
    hint: str  # what to do if it is not ok


@dataclass(frozen=True, slots=True)
class Trial:
    """A script that works, inside new namespaces, if the capability is there."""

    name: str
    script: str
    needed: bool
    hint: str


PROGRAMS = (
    ("unshare", "util-linux", True),
    ("setsid", "util-linux", True),
    ("ip", "iproute2", False),
    ("ping", "iputils-ping", False),
    ("tcpdump", "tcpdump", False),
    ("conntrack", "conntrack", False),
    ("miniupnpd", "miniupnpd-nftables", False),
    ("tayga", "tayga", False),
    ("turnserver", "coturn", False),
    ("wireguard-go", "wireguard-go", False),
    ("wg", "wireguard-tools", False),
)
BENT_LINKS = "bent links"
_MODULE = "the kernel lacks it: modprobe {}, or another kernel"
_NAT_RULES = (
    "*nat\\n-A POSTROUTING -j MASQUERADE\\nCOMMIT\\n"
    "*filter\\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\\nCOMMIT\\n"
)
_IPTABLES = f"""
for tool in iptables-legacy-restore iptables-restore; do
    if printf '{_NAT_RULES}' | $tool; then echo $tool; exit; fi
done
exit 1
"""
_NFTABLES = """
printf 'table ip t {\\nchain c {\\ntype nat hook postrouting priority 100\\nmasquerade\\n}\\n}\\n' | nft -f -
"""
TRIALS = (
    Trial("veth", "ip link add a0 type veth peer name b0", True, _MODULE.format("veth")),
    Trial("bridge", "ip link add br0 type bridge", True, _MODULE.format("bridge")),
    Trial("iptables NAT", _IPTABLES, True, "apt-get install iptables"),
    Trial("nftables NAT", _NFTABLES, False, "apt-get install nftables"),
    Trial(
        "conntrack timeouts",
        "echo 30 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout",
        True,
        _MODULE.format("nf_conntrack"),
    ),
    Trial("TUN device", "ip tuntap add dev t0 mode tun", True, ""),
    Trial(
        "netem",
        "ip link add a0 type veth peer name b0; tc qdisc add dev a0 root netem delay 1ms",
        False,
        "delays are made without it, by NFQUEUE and a process that waits",
    ),
    Trial(BENT_LINKS, f"{sys.executable} -m lab.world.backend", False, "links are what they are"),
)


def look() -> Iterator[Capability]:
    for program, package, needed in PROGRAMS:
        path = find(program)
        hint = f"apt-get install {package}"
        yield Capability(program, path is not None, needed, path or "not installed", hint)
    namespaces = _namespaces()
    yield namespaces
    for trial in TRIALS:
        if namespaces.ok:
            yield _tried(trial)
        else:
            yield Capability(trial.name, False, trial.needed, "not tried", "namespaces first")


def _namespaces() -> Capability:
    root = os.geteuid() == 0
    name = "namespaces" if root else "user namespaces"
    ok, said = _inside("")
    hint = (
        "in a container: --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt apparmor=unconfined; "
        "or run it on the machine itself"
    )
    if not root:
        hint = (
            "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), "
            "kernel.unprivileged_userns_clone=1 (older Debian), user.max_user_namespaces=10000; "
            "or run it as root"
        )
    return Capability(name, ok, True, said or "yes", hint)


def _tried(trial: Trial) -> Capability:
    ok, said = _inside(trial.script)
    hint = _tun_hint() if trial.name == "TUN device" else trial.hint
    return Capability(trial.name, ok, trial.needed, said or "yes", hint)


def _tun_hint() -> str:
    if not os.path.exists("/dev/net/tun"):
        return "as root: modprobe tun; in a container: --device /dev/net/tun"
    return "as root: chmod 0666 /dev/net/tun"


def _inside(script: str) -> tuple[bool, str]:
    """Whether the script works in new namespaces, and its last words."""
    try:
        done = subprocess.run(
            [*_unshare(), "sh", "-ec", _OWN_RUN + script],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
            env=os.environ | {"PATH": search_path()},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    words = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, words[-1] if words else ""


def _unshare() -> Sequence[str]:
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--net", "--mount-proc"]
    return argv if os.geteuid() == 0 else [*argv, "--user", "--map-root-user"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.world.preflight")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", help="one trial, by its name")
    args = parser.parse_args()
    found = (
        [_tried(each) for each in TRIALS if each.name == args.only] if args.only else list(look())
    )
    if args.json:
        print(json.dumps([asdict(each) for each in found]))
        return
    for each in found:
        print(
            f"{'yes' if each.ok else 'no ':3}  {each.name}: {each.found if each.ok else each.hint}"
        )


if __name__ == "__main__":
    main()
