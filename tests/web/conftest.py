"""One lab with its page, and one browser, for all tests of a file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
PATIENCE = 30_000  # ms

OpenPage = Callable[..., Page]


@dataclass(frozen=True, slots=True)
class Demo:
    """`lab.demo nat-pair --web`, running."""

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
    argv = [sys.executable, "-m", "invoke", "lab.demo", *words, "--web", "--port", "0"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)
    url = process.stdout.readline().strip() if process.stdout else ""
    if not re.fullmatch(r"http://127\.0\.0\.1:\d+/#\S+", url):
        pytest.fail(f"no page: {url} {process.communicate()[1]}")
    return Demo(process, url, env)


def end(demo: Demo) -> int:
    """By Ctrl-C; returns the exit status."""
    demo.process.send_signal(signal.SIGINT)
    demo.process.communicate(timeout=30)
    return demo.process.returncode


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    state = tmp_path_factory.mktemp("labs")
    running = start(state, "nat-pair")
    yield running
    assert end(running) == 0
    assert list(state.iterdir()) == []  # what it brought up is gone


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.fail("these tests need a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, demo: Demo) -> Iterator[OpenPage]:
    """Opens the page as one reader has it; nothing may be wrong with it, nothing asked of anybody else."""
    wrong: list[str] = []
    contexts = []

    def opened(
        width: int = 1360, height: int = 900, url: str = demo.url, scheme: str = "light", **kw: str
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce" if kw.get("motion") == "reduce" else "no-preference",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda asked: wrong.append(f"failed: {asked.url}"))
        page.on("request", lambda asked: wrong.extend(_outside(asked.url, demo.origin)))
        page.goto(url)
        page.wait_for_selector("#drawing svg")
        return page

    yield opened
    told = [each for each in wrong if not each.endswith("/events")]  # which ends with its page
    for context in contexts:
        context.close()
    assert told == []


def _outside(url: str, origin: str) -> list[str]:
    return [] if url.startswith(f"{origin}/") else [f"outside: {url}"]
