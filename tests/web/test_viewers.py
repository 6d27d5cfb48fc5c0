"""Several viewers of one show, by real sockets: one that stops reading harms nobody."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, ClientTimeout, StreamReader, TCPConnector, web

from lab.errors import BadRequest
from lab.model.events import PathMoved
from lab.model.layout import plan_of
from lab.model.topology import load
from lab.view.web.app import MOST_VIEWERS, app
from lab.view.web.door import TOKEN, Door
from lab.view.web.show import Show, event

PLAN = plan_of(load("nat-pair"))
LARGE = event("moment", json.dumps({"at": 1.0, "story": ["x" * 200_000]}))
END = event("moment", '{"at": 2.0}')


def test_a_viewer_that_stops_reading_is_hung_up_on_and_the_others_miss_nothing() -> None:
    async def run() -> None:
        async with served() as (show, url, client), client.get(f"{url}/events") as reader:
            stalled = await stalled_viewer(url)
            while len(show.viewers) < 2:
                await asyncio.sleep(0)
            for _ in ("clock", "all"):
                await reader.content.readuntil(b"\n\n")
            while len(show.viewers) == 2:
                show.viewers.send(LARGE)
                assert await reader.content.readexactly(len(LARGE)) == LARGE
            show.viewers.send(END)
            assert await reader.content.readexactly(len(END)) == END
            assert show.viewers.hung_up_on == 1
            stalled.close()

    asyncio.run(run())


def test_each_viewer_is_told_everything_from_the_start() -> None:
    async def run() -> None:
        async with served() as (show, url, client):
            running = asyncio.create_task(show.run())
            show.put(PathMoved(at=1.0, host="node-a", peer="node-b", kind="direct", via="x"))
            async with client.get(f"{url}/events") as early:
                assert await told(early.content, "moves") == ["direct"]
                async with client.get(f"{url}/events") as late:
                    assert await told(late.content, "moves") == ["direct"]
            show.put(None)
            await running

    asyncio.run(run())


def test_the_end_of_the_lab_is_told_and_ends_the_show() -> None:
    async def run() -> None:
        async with served() as (show, url, client), client.get(f"{url}/events") as response:
            running = asyncio.create_task(show.run())
            show.put(None)
            await running
            assert (await response.read()).endswith(event("over", "{}"))

    asyncio.run(run())


def test_there_is_room_for_many_but_not_for_any_number() -> None:
    async def run() -> None:
        async with served() as (_, url, client):
            held = [await client.get(f"{url}/events") for _ in range(MOST_VIEWERS)]
            async with client.get(f"{url}/events") as one_more:
                assert one_more.status == 503
                assert await one_more.json() == {"problem": "64 look on already"}
            for response in held:
                response.close()

    asyncio.run(run())


def test_a_change_is_done_and_told_and_a_bad_one_is_one_line() -> None:
    async def run() -> None:
        async with served() as (_, url, client):
            headers = {TOKEN: "secret"}
            answers = {}
            for asked in ('"cut"', '"none"', "{", "x" * 5000):
                async with client.post(f"{url}/change", data=asked, headers=headers) as response:
                    answers[asked[:6]] = (response.status, (await response.json()).popitem()[1])
            assert answers == {
                '"cut"': (200, "cut, done"),
                '"none"': (400, "there is no none"),
                "{": (400, "a change is one JSON object"),
                "xxxxxx": (413, "Request Entity Too Large"),
            }

    asyncio.run(run())


def test_every_answer_keeps_other_pages_out() -> None:
    async def run() -> None:
        async with served() as (_, url, client):
            for path in ("/", "/main.js", "/events", "/nothing"):
                async with client.get(url + path) as response:
                    policy = response.headers["Content-Security-Policy"]
                    assert policy.startswith("default-src 'none'; script-src 'self';")
                    assert "unsafe" not in policy
                    assert response.headers["X-Frame-Options"] == "DENY"
            async with client.get(url, headers={"Host": "evil.example"}) as response:
                assert response.status == 403
            async with client.get(f"{url}/../web/door.py") as response:
                assert response.status == 404

    asyncio.run(run())


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Show, str, ClientSession]]:
    """A show of a lab that nobody built: what is sent, the tests say."""
    show = Show(PLAN, lambda: ({}, PLAN))
    runner = web.AppRunner(app(show, Door("127.0.0.1", "secret"), change), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    timeout, connections = ClientTimeout(20), TCPConnector(limit=0)
    async with ClientSession(timeout=timeout, connector=connections) as client:
        yield show, site.name, client
        show.viewers.send(None)
    await runner.cleanup()


def change(asked: object) -> str:
    if asked == "none":
        raise BadRequest("there is no none")
    return f"{asked}, done"


async def stalled_viewer(url: str) -> socket.socket:
    """Asks, and never reads."""
    host, port = url.removeprefix("http://").split(":")
    viewer = socket.create_connection((host, int(port)))
    viewer.sendall(f"GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return viewer


async def told(stream: StreamReader, key: str) -> list[str]:
    """The kinds of the first moves that are told."""
    async for line in stream:
        if line.startswith(b"data: "):
            data = json.loads(line.removeprefix(b"data: "))
            for moment in data if isinstance(data, list) else [data]:
                if key in moment:
                    return [move["kind"] for move in moment[key]]
    raise AssertionError(f"the end, and no {key}")
