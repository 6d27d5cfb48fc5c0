"""`lab.demo --web` as a process, and the browser that its pages are looked at with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


@dataclass(frozen=True, slots=True)
class Demo:
    """`lab.demo --web`, running."""

    process: subprocess.Popen[str]
    url: str
    env: dict[str, str]

    @property
    def origin(self) -> str:
        return self.url.partition("/#")[0]

    def invoke(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "invoke", *words]
        return subprocess.run(
            argv, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=60, check=False
        )


def start(state: Path, *words: str) -> Demo:
    env = os.environ | {"PUNCHLAB_STATE": str(state)}
    argv = ["setpriv", "--pdeathsig", "TERM"]  # a run that is killed leaves no demo behind
    argv += [sys.executable, "-m", "invoke", "lab.demo", *words, "--web", "--port", "0"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)
    url = process.stdout.readline().strip() if process.stdout else ""
    if not re.fullmatch(r"http://127\.0\.0\.1:\d+/#\S+", url):
        raise RuntimeError(f"no page: {url} {process.communicate()[1]}")
    return Demo(process, url, env)


def end(demo: Demo) -> int:
    """By Ctrl-C; returns the exit status."""
    demo.process.send_signal(signal.SIGINT)
    demo.process.communicate(timeout=30)
    return demo.process.returncode
