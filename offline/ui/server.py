"""The page over HTTP: its files, its API and its event stream."""

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
from segue.offline.ui.security import MAX_BODY_BYTES, protection, secure
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
MAX_STREAMS = 500
PING_S = 10.0  # keep-alive of a stream

PAGE: web.AppKey[LivePage] = web.AppKey("page", LivePage)


def make_application(page: LivePage, host_names: Iterable[str] = ()) -> web.Application:
    """Return the web application. host_names: accepted besides localhost."""
    application = web.Application(
        middlewares=[protection(host_names)], client_max_size=MAX_BODY_BYTES
    )
    application[PAGE] = page
    application.on_response_prepare.append(secure)
    application.on_shutdown.append(_close)
    application.cleanup_ctx.append(_work)
    for file in sorted(FILES.iterdir()):
        path = "/" if file.name == "index.html" else f"/{file.name}"
        application.router.add_get(path, _file(file.read_bytes(), TYPES[file.suffix]))
    application.router.add_get("/api/stream", stream)
    application.router.add_get("/api/songs", songs)
    application.router.add_get("/api/map", song_map)
    application.router.add_post("/api/plays", play)
    application.router.add_post("/api/listener", renew)
    return application


async def songs(request: web.Request) -> web.Response:
    """Search songs by `q`; without it, return the most played ones."""
    page, query = request.app[PAGE], request.query.get("q", "")[:200]
    found = page.songs.search(query, FOUND_SONGS) if query else page.songs.first(FIRST_SONGS)
    return _json({"songs": [page.song(song_id) for song_id in found]})


async def song_map(request: web.Request) -> web.Response:
    """Return every song of the map, once it is computed."""
    coordinates = request.app[PAGE].coordinates
    if coordinates is None:
        return _error(404, "the map is not drawn yet")
    page, layout = request.app[PAGE], coordinates.layout
    names = [page.songs.name(song_id) for song_id in layout.song_ids]
    songs = {"ids": layout.song_ids, "names": names, "points": layout.points}
    return _json({"model": layout.model, **songs})


async def play(request: web.Request) -> web.Response:
    """Send one play of this browser's listener."""
    page, listener = request.app[PAGE], _listener(request)
    if listener is None:
        return _error(401, "this listener is gone: load the page again")
    try:
        body = msgspec.json.decode(await request.read(), type=PlayRequest)
    except (msgspec.DecodeError, UnicodeError) as error:
        return _error(400, f"not a play: {error}")
    if body.song_id not in page.songs:
        return _error(404, "there is no such song")
    if not listener.may_play(time.monotonic()):
        return _error(429, "too many plays in one second: wait a moment")
    try:
        sent = await page.play(listener, body.song_id, body.skipped, body.found)
    except KafkaUnavailable as error:
        return _error(503, str(error))
    return _json({"eventId": sent.event_id}, status=202)


async def renew(request: web.Request) -> web.Response:
    """Replace this browser's listener by a new one without plays."""
    if _listener(request) is None:
        return _error(401, "this listener is gone: load the page again")
    page = request.app[PAGE]
    listener = page.listeners.replace(request.cookies[COOKIE])
    page.changed()
    return _json({"userId": listener.user_id})


async def stream(request: web.Request) -> web.StreamResponse:
    """Send events to a browser when its listener, the status or the metrics change.

    Only the newest state is sent: a slow browser skips states, so nothing piles up.
    """
    page, secret = request.app[PAGE], request.cookies.get(COOKIE)
    if page.streams >= MAX_STREAMS:
        return _error(503, "too many open pages: close a window")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    if page.listeners.find(secret) is None:
        secret = _new_listener(page, response)
    await response.prepare(request)
    sent: dict[str, bytes] = {}
    page.streams += 1
    try:
        while not page.closed and (listener := page.listeners.find(secret)):
            messages = _events(page, listener, sent)
            await response.write(messages or b": keep-alive\n\n")
            await page.change(PING_S)
    except (ConnectionResetError, asyncio.CancelledError):
        pass  # the browser is gone
    finally:
        page.streams -= 1
    return response


def _events(page: LivePage, listener: Listener, sent: dict[str, bytes]) -> bytes:
    """Return events for all that changed since `sent`, and update it."""
    shown = {
        "listener": page.shown(listener),
        "status": page.status(listener),
        "figures": page.window.metrics(),
    }
    events = b""
    for name, message in shown.items():
        written = msgspec.json.encode(message)
        if sent.get(name) != written:
            sent[name] = written
            events += b"event: %s\ndata: %s\n\n" % (name.encode(), written)
    return events


def _file(content: bytes, content_type: str) -> Any:
    async def respond(request: web.Request) -> web.Response:
        response = web.Response(body=content, content_type=content_type, charset="utf-8")
        page = request.app[PAGE]
        if content_type == "text/html" and _listener(request) is None:
            _new_listener(page, response)
        return response

    return respond


def _listener(request: web.Request) -> Listener | None:
    return request.app[PAGE].listeners.find(request.cookies.get(COOKIE))


def _new_listener(page: LivePage, response: web.StreamResponse) -> str:
    secret = page.listeners.create()
    response.set_cookie(COOKIE, secret, httponly=True, samesite="Strict")
    return secret


def _json(message: Any, status: int = 200) -> web.Response:
    body = msgspec.json.encode(message)
    return web.Response(body=body, status=status, content_type="application/json")


def _error(status: int, why: str) -> web.Response:
    return _json({"error": why}, status)


async def _work(application: web.Application) -> AsyncIterator[None]:
    """Run the Kafka link, the scraper and the map as long as the server."""
    page = application[PAGE]
    work = [asyncio.create_task(each) for each in (page.link.run(), page.watch(), page.draw_map())]
    for task in work:
        task.add_done_callback(_log_failure)
    yield
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("A background task of the page failed", exc_info=task.exception())


async def _close(application: web.Application) -> None:
    application[PAGE].close()
