"""What the live page lets in and what it does not; no broker is needed to be refused."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from segue.models.data.catalogue import SongDetails
from segue.offline.ui.server import COOKIE, FILES
from segue.offline.ui.song_search import SongSearch
from segue.offline.ui.state import LivePage, PageConfig
from segue.stream.config.settings import load_settings
from tests.support.page_client import browsing
from tests.support.toy import song

HOSTILE = "</script><img src=x onerror=alert(1)>"


def named_page() -> LivePage:
    book = SongSearch([song(0), song(1)], {song(0): SongDetails(HOSTILE)})
    settings = load_settings(kafka_bootstrap="127.0.0.1:9")
    return LivePage(PageConfig(settings, None, None, (), 10, settings.data_dir), book)


def test_titles_go_out_as_data_and_the_page_makes_no_markup_of_any():
    async def look() -> Any:
        async with browsing(named_page()) as browser:
            answer = await browser.client.get("/api/songs", params={"q": "onerror"})
            assert answer.content_type == "application/json"
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self';" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            return await answer.json()

    assert [each["title"] for each in asyncio.run(look())["songs"]] == [HOSTILE]
    page = (FILES / "index.html").read_text()
    assert page.count("<script") == page.count('<script type="module" src="/app.js"></script>') == 1
    assert "style=" not in page
    for file in FILES.glob("*.js"):
        reported = file.read_text()
        for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert danger not in reported, f"{file.name} has {danger}"


def test_nobody_but_the_page_itself_can_play():
    async def knock() -> None:
        async with browsing(named_page(), host_names=["music.test"]) as browser:
            body = {"song_id": song(1)}
            foreign = await browser.post("/api/plays", body, Origin="https://evil.test")
            assert foreign.status == 403
            assert foreign.headers["X-Content-Type-Options"] == "nosniff"
            assert (await browser.client.post("/api/plays", json=body)).status == 403
            form = {"Origin": browser.origin, "Content-Type": "text/plain"}
            sent = await browser.client.post("/api/plays", data=json.dumps(body), headers=form)
            assert sent.status == 403
            assert (await browser.client.get("/", headers={"Host": "evil.test"})).status == 421
            assert (await browser.client.get("/", headers={"Host": "music.test:80"})).status == 200
            assert (await browser.post("/api/plays", body | {"user_id": "anna"})).status == 400
            assert (await browser.post("/api/plays", {"song_id": "x" * 300})).status == 400
            assert (await browser.post("/api/plays", {"song_id": "x" * 5_000})).status == 413
            assert (await browser.post("/api/plays", {"song_id": "no such song"})).status == 404
            assert (await browser.client.get("/../ui/server.py")).status == 404
            browser.client.session.cookie_jar.clear()
            assert (await browser.post("/api/plays", body)).status == 401
            assert (await browser.post("/api/listener", {})).status == 401

    asyncio.run(knock())


def test_the_secret_of_a_browser_is_kept_from_scripts_and_from_topics():
    async def look() -> None:
        async with browsing(named_page()) as browser:
            [cookie] = list(browser.client.session.cookie_jar)
            assert (cookie.key, cookie["httponly"], cookie["samesite"]) == (COOKIE, True, "Strict")
            assert len(cookie.value) >= 32
            await browser.until(lambda heard: "listener" in heard)
            assert cookie.value not in json.dumps(browser.heard)

    asyncio.run(look())


def test_more_streams_than_fit_are_refused(monkeypatch):
    async def look() -> list[int]:
        monkeypatch.setattr("segue.offline.ui.server.MAX_STREAMS", 2)
        page = named_page()
        async with browsing(page) as browser, AsyncExitStack() as stack:
            answers = [
                await stack.enter_async_context(browser.client.get("/api/stream")) for _ in "abc"
            ]
            assert page.streams == 2
            return [answer.status for answer in answers]

    assert asyncio.run(look()) == [200, 200, 503]
