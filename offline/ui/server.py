"""The page over HTTP: its files, what it asks, and the stream of what it is told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from segue.offline.ui.listeners import Listener
from segue.offline.ui.messages import PlayRequest
from segue.offline.ui.security import MOST_BODY_BYTES, protection, secure
from segue.offline.ui.state import LivePage
from segue.stream.kafka.clients import KafkaUnavailable

logger = logging.getLogger(__name__)
FILES = Path(__file__).with_name("page")
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
COOKIE = "segue_listener"
FOUND_SONGS = 20
FIRST_SONGS = 12
MOST_STREAMS = 500
PING_S = 10.0  # a stream says at least so often that it is there

PAGE: web.AppKey[LivePage] = web.AppKey("page", LivePage)


def make_application(page: LivePage, host_names: Iterable[str] = ()) -> web.Application:
    """Put the page and all that works behind it together.

    host_names: names of this machine, beside localhost, under which the page is asked for.
    """
    made = web.Application(middlewares=[protection(host_names)], client_max_size=MOST_BODY_BYTES)
    made[PAGE] = page
    made.on_response_prepare.append(secure)
    made.on_shutdown.append(_close)
    made.cleanup_ctx.append(_work)
    for file in sorted(FILES.iterdir()):
        path = "/" if file.name == "index.html" else f"/{file.name}"
        made.router.add_get(path, _file(file.read_bytes(), TYPES[file.suffix]))
    made.router.add_get("/api/stream", stream)
    made.router.add_get("/api/songs", songs)
    made.router.add_get("/api/map", song_map)
    made.router.add_post("/api/plays", play)
    made.router.add_post("/api/listener", renew)
    return made


async def songs(request: web.Request) -> web.Response:
    """Find songs by `q`; without it, give some to begin with."""
    page, query = request.app[PAGE], request.query.get("q", "")[:200]
    found = page.book.search(query, FOUND_SONGS) if query else page.book.first(FIRST_SONGS)
    return _json({"songs": [page.song(song_id) for song_id in found]})


async def song_map(request: web.Request) -> web.Response:
    """Give every song of the map, once it is drawn."""
    places = request.app[PAGE].places
    if places is None:
        return _refusal(404, "the map is not drawn yet")
    page, layout = request.app[PAGE], places.layout
    names = [page.book.name(song_id) for song_id in layout.song_ids]
    told = {"model": layout.model, "ids": layout.song_ids, "names": names}
    return _json(told | {"points": layout.points})


async def play(request: web.Request) -> web.Response:
    """Send one play of this browser's listener."""
    page, listener = request.app[PAGE], _listener(request)
    if listener is None:
        return _refusal(401, "this listener is gone: load the page again")
    try:
        asked = msgspec.json.decode(await request.read(), type=PlayRequest)
    except (msgspec.DecodeError, UnicodeError) as error:
        return _refusal(400, f"no play: {error}")
    if asked.song_id not in page.book:
        return _refusal(404, "there is no such song")
    if not listener.may_play(time.monotonic()):
        return _refusal(429, "too many plays in one second: wait a moment")
    try:
        heard = await page.play(listener, asked.song_id, asked.skipped, asked.found)
    except KafkaUnavailable as error:
        return _refusal(503, str(error))
    return _json({"eventId": heard.event_id}, status=202)


async def renew(request: web.Request) -> web.Response:
    """Make this browser's listener a new one, who has heard nothing."""
    if _listener(request) is None:
        return _refusal(401, "this listener is gone: load the page again")
    page = request.app[PAGE]
    listener = page.listeners.renew(request.cookies[COOKIE])
    page.changed()
    return _json({"userId": listener.user_id})


async def stream(request: web.Request) -> web.StreamResponse:
    """Tell a browser of its listener, of the parts and of the figures, whenever they change.

    Only the newest is told: a slow browser misses what was between, and nothing piles up.
    """
    page, secret = request.app[PAGE], request.cookies.get(COOKIE)
    if page.streams >= MOST_STREAMS:
        return _refusal(503, "too many watch by now: close a window")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    if page.listeners.find(secret) is None:
        secret = _invite(page, response)
    await response.prepare(request)
    told: dict[str, bytes] = {}
    page.streams += 1
    try:
        while not page.closed and (listener := page.listeners.find(secret)):
            messages = _news(page, listener, told)
            await response.write(messages or b": still here\n\n")
            await page.change(PING_S)
    except (ConnectionResetError, asyncio.CancelledError):
        pass  # the browser is gone
    finally:
        page.streams -= 1
    return response


def _news(page: LivePage, listener: Listener, told: dict[str, bytes]) -> bytes:
    """Write what has changed since it was `told`, which is brought up to date."""
    shown = {
        "listener": page.shown(listener),
        "status": page.status(listener),
        "figures": page.window.figures(),
    }
    news = b""
    for name, message in shown.items():
        written = msgspec.json.encode(message)
        if told.get(name) != written:
            told[name] = written
            news += b"event: %s\ndata: %s\n\n" % (name.encode(), written)
    return news


def _file(content: bytes, content_type: str) -> Any:
    async def give(request: web.Request) -> web.Response:
        response = web.Response(body=content, content_type=content_type, charset="utf-8")
        page = request.app[PAGE]
        if content_type == "text/html" and _listener(request) is None:
            _invite(page, response)
        return response

    return give


def _listener(request: web.Request) -> Listener | None:
    return request.app[PAGE].listeners.find(request.cookies.get(COOKIE))


def _invite(page: LivePage, response: web.StreamResponse) -> str:
    secret = page.listeners.invite()
    response.set_cookie(COOKIE, secret, httponly=True, samesite="Strict")
    return secret


def _json(message: Any, status: int = 200) -> web.Response:
    body = msgspec.json.encode(message)
    return web.Response(body=body, status=status, content_type="application/json")


def _refusal(status: int, why: str) -> web.Response:
    return _json({"error": why}, status)


async def _work(application: web.Application) -> AsyncIterator[None]:
    """Be connected, watch and draw for as long as the server runs."""
    page = application[PAGE]
    work = [asyncio.create_task(each) for each in (page.link.run(), page.watch(), page.draw_map())]
    for task in work:
        task.add_done_callback(_tell_of_failure)
    yield
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("A part of the page failed", exc_info=task.exception())


async def _close(application: web.Application) -> None:
    application[PAGE].close()
