"""What all tests start from, and somebody without rights, for the tests of what such a person can do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent.parent
pytest_plugins = ["tests.lab.cluster"]

# By itself it fails an example that takes 200 ms, or a second to be made; a busy machine may stand still for
# longer.
settings.register_profile(
    "without a deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("without a deadline")


def pytest_configure() -> None:
    """A shell starts what is in its background deaf to Ctrl-C, and so would be all that the tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def nobody() -> Iterator[list[str]]:
    """What makes a Python run as a user without rights, if this machine lets it have a lab."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    home = tempfile.mkdtemp(prefix="nobody-", dir="/tmp")
    os.chown(home, 65534, 65534)
    try:
        become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env"]
        become += [f"HOME={home}", f"PUNCHLAB_STATE={home}/state"]
        become += [f"PYTHONPATH={sysconfig.get_path('purelib')}"]
        yield [*become, _python_for(become)]
    finally:
        shutil.rmtree(home)


def _python_for(become: list[str]) -> str:
    """A Python that this user may run: ours may be in somebody's closed home."""
    seen = ""
    for python in (sys.executable, "/usr/bin/python3"):
        look = [*become, python, "-m", "lab.world.preflight", "--json"]
        done = subprocess.run(look, cwd=HERE, capture_output=True, text=True, check=False)
        can = {one["name"]: one["ok"] for one in json.loads(done.stdout or "[]")}
        if can.get("user namespaces"):
            return python
        seen += done.stdout + done.stderr
    pytest.skip(f"no user namespaces for others here: {seen}")
