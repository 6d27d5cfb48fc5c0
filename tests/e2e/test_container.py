"""The least privileges that a container needs for a lab: README, "In a container".

No container engine is needed to try: a process with these capabilities and no other, whose /proc and /sys are
closed as Docker's are, is all that a container is to a lab.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LEAST = ("sys_admin", "net_admin", "sys_chroot", "net_raw", "net_bind_service")
CONTAINER = """
set -e
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
mount -o remount,bind,ro /sys
words=$1; shift
exec setpriv --bounding-set="$words" --inh-caps="$words" "$@"
"""
MAIN_JOB = """
from lab.client import Lab
from lab.errors import LabError
from lab.model.topology import load
try:
    lab = Lab.up(load("nat-pair"))
except LabError as error:
    raise SystemExit(str(error))
try:
    ping = lab.ping("node-a", "node-b", until_direct=True, timeout=15)
    lab.wait_for_path("node-b", "node-a", "direct", 15)
    lab.unplug("nyc")
    proof = lab.run("node-a", ["ping", "-c1", "-W3", "100.64.2.20"])
finally:
    lab.down()
print(ping.stdout)
raise SystemExit(proof.stderr if proof.returncode else ping.returncode)
"""
pytestmark = [
    pytest.mark.needs_lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have something to give up"),
]


def test_the_main_job_with_the_least_privileges(tmp_path: Path) -> None:
    done = with_only(LEAST, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert "via 203.0.113.20:41641" in done.stdout


@pytest.mark.parametrize("missing", LEAST)
def test_without_any_one_of_them_it_is_told_and_nothing_is_left(
    tmp_path: Path, missing: str
) -> None:
    done = with_only([each for each in LEAST if each != missing], tmp_path)

    assert done.returncode == 1
    assert "permi" in done.stderr.lower()  # Operation not permitted, Permission denied
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "labs").iterdir()) == []


def with_only(capabilities: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    words = ",".join(["-all", *(f"+{each}" for each in capabilities)])
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", CONTAINER, "sh"]
    return subprocess.run(
        [*argv, words, sys.executable, "-c", MAIN_JOB],
        cwd=ROOT,
        env=os.environ | {"PUNCHLAB_STATE": str(folder / "labs")},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
