"""What a lab sees of the file system: the machine's own, but /run, /proc, /sys and the names are the lab's.

All of it lies in mount namespaces of the lab, so it is gone with the lab. Everything on /run is:

    /run/punchlab/<lab>   the lab's folder, wherever it really is
    /run/netns/<host>     the hosts by name, for `ip netns exec`
    /run/bin              first on the PATH inside: the iptables that shows the lab's rules
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lab.state import INSIDE
from lab.world.kernel import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC, mount
from lab.world.programs import find

BIN = Path("/run/bin")
_NETNS = Path("/run/netns")
_WIREGUARD = Path("/run/wireguard")  # where `wg` looks for interfaces; each host has its own
_LEGACY = ("iptables", "iptables-restore", "iptables-save")


def enter_own_tree(name: str, folder: Path) -> Path:
    """Private mounts, a /proc of this PID namespace, an empty /run; returns the folder's place inside."""
    mount("", "/", "", MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    inside = INSIDE / name
    inside.mkdir(parents=True)
    mount(f"/proc/self/fd/{fd}", str(inside), "", MS_BIND)
    os.close(fd)
    for each in (BIN, _NETNS, Path("/run/lock")):
        each.mkdir()
    return inside


def name_namespace(host: str, fd: int) -> None:
    """A link to the keeper's descriptor: it names the namespace, and does not keep it alive."""
    (_NETNS / host).symlink_to(f"/proc/1/fd/{fd}")


def show_legacy_rules() -> None:
    """Inside, `iptables` means the legacy tool, because the rules were loaded by it."""
    for name in _LEGACY:
        for family in (name, name.replace("ip", "ip6", 1)):
            tool = find(family.replace("tables", "tables-legacy"))
            if tool and not (BIN / family).exists():
                (BIN / family).symlink_to(tool)


def furnish(files: Path) -> None:
    """In a new mount namespace, inside the host's network: its own /sys and its own names."""
    with contextlib.suppress(
        OSError
    ):  # a container may forbid it; then /sys shows the keeper's links
        mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _cover(Path("/etc/hosts"), files / "hosts")
    _cover(Path("/etc/resolv.conf"), files / "resolv.conf")
    _WIREGUARD.mkdir(mode=0o700, exist_ok=True)
    mount("wireguard", str(_WIREGUARD), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700")


def _cover(target: Path, source: Path) -> None:
    real = target.resolve()  # resolv.conf is often a link into the /run that we covered
    if not real.exists():
        if not real.is_relative_to("/run"):
            return
        real.parent.mkdir(parents=True, exist_ok=True)
        real.touch()
    mount(str(source), str(real), "", MS_BIND)
