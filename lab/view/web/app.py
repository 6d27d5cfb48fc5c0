"""The routes: the page's own files, what happens, and the changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from lab.errors import LabError
from lab.view.diagrams.svg import STYLE
from lab.view.web.door import HEADERS, Door
from lab.view.web.show import Show

PAGE = Path(__file__).with_name("page")
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
LONGEST_CHANGE = 4096  # bytes
MOST_VIEWERS = 64  # each costs a socket and a queue

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Change = Callable[[object], str]  # does what is asked and says what it did; it may take a while

SHOW: web.AppKey[Show] = web.AppKey("show", Show)
DOOR: web.AppKey[Door] = web.AppKey("door", Door)
CHANGE: web.AppKey[Change] = web.AppKey("change")


def app(show: Show, door: Door, change: Change) -> web.Application:
    made = web.Application(middlewares=[web.middleware(guarded)], client_max_size=LONGEST_CHANGE)
    made[SHOW], made[DOOR], made[CHANGE] = show, door, change
    made.router.add_get("/", _file("index.html"))
    made.router.add_get("/drawing.css", _file(STYLE))
    for file in sorted(PAGE.iterdir()):
        made.router.add_get(f"/{file.name}", _file(file.name))
    made.router.add_get("/events", events)
    made.router.add_post("/change", changed)
    return made


async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    refusal = request.app[DOOR].refusal(request.method, request.headers)
    if refusal:
        return _told(refusal.why, refusal.status)
    try:
        response = await handler(request)
    except web.HTTPException as error:
        return _told(error.reason, error.status)
    response.headers.update({} if response.prepared else HEADERS)
    return response


def _told(problem: str, status: int) -> web.Response:
    return web.json_response({"problem": problem}, status=status, headers=HEADERS)


def _file(name: str | Path) -> Handler:
    path = PAGE / name

    async def serve(_: web.Request) -> web.StreamResponse:
        text = path.read_text(encoding="utf-8")
        return web.Response(text=text, content_type=TYPES[path.suffix], charset="utf-8")

    return serve


async def events(request: web.Request) -> web.StreamResponse:
    """All that was, then all that happens, as server-sent events."""
    show, transport = request.app[SHOW], request.transport
    if len(show.viewers) >= MOST_VIEWERS or transport is None:
        return _told(f"{MOST_VIEWERS} look on already", 503)
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
    await response.prepare(request)
    with show.viewers.joined(transport.abort) as viewer:
        greeting = (
            show.greeting()
        )  # no await since it joined: nothing is missed, nothing comes twice
        with contextlib.suppress(ConnectionError):
            await response.write(greeting)
            async for message in viewer.messages():
                await response.write(message)
    return response


async def changed(request: web.Request) -> web.StreamResponse:
    try:
        asked = json.loads(await request.text())
    except ValueError:
        return _told("a change is one JSON object", 400)
    try:
        said = await asyncio.to_thread(request.app[CHANGE], asked)
    except LabError as error:
        return _told(str(error), 400 if error.exit_status == 2 else 409)
    return web.json_response({"said": said})
