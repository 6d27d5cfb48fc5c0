"""The main job as an ordinary user: user namespaces, and a /dev/net/tun that is open to everybody."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# In a mount namespace of its own: the machine's own device keeps its mode.
OPEN_TUN = """
mount -t tmpfs tmpfs /dev/net && mknod /dev/net/tun c 10 200 && chmod 666 /dev/net/tun && exec "$@"
"""


def test_the_main_job_without_rights(nobody: list[str]) -> None:
    def invoke(*words: str) -> subprocess.CompletedProcess[str]:
        argv = ["unshare", "--mount", "sh", "-c", OPEN_TUN, "sh", *nobody, "-m", "invoke", *words]
        return subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False
        )

    try:
        up = invoke("lab.up", "topology=double-nat")
        assert up.returncode == 0, up.stderr

        ping = invoke("lab.ping", "double-nat", "node-a", "node-b", "--until-direct")
        assert (ping.returncode, "via DERP(nyc)" in ping.stdout) == (0, True), ping.stderr

        told = invoke("lab.explain", "double-nat", "node-a", "node-b")
        assert "carrier-a: 192.168.1.10:41641 as 203.0.113.10:41641 <-> " in told.stdout, (
            told.stderr
        )

        assert invoke("lab.unplug", "double-nat", "nyc").returncode == 0
        proof = invoke("lab.exec", "double-nat", "node-a", "--", "ping", "-c3", "100.64.2.20")
        assert (proof.returncode, "3 received" in proof.stdout) == (0, True), proof.stderr
    finally:
        down = invoke("lab.down", "all")
    assert down.returncode == 0, down.stderr


def test_a_closed_tun_is_told_before_anything_is_built(nobody: list[str]) -> None:
    closed = ["unshare", "--mount", "sh", "-c", OPEN_TUN.replace("666", "600"), "sh"]
    argv = [*closed, *nobody, "-m", "invoke", "lab.up", "topology=nat-pair"]

    up = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)

    assert up.returncode == 3
    assert "/dev/net/tun" in up.stderr
    assert "Traceback" not in up.stderr
