"""One lab with its page, and one browser, for all tests of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.web.running import ARGS, CHROMIUM, Demo, end, start

PATIENCE = 30_000  # ms

OpenPage = Callable[..., Page]


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
