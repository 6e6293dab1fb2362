"""What the page in a browser does, without a browser: asks, keeps its cookie, hears the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from segue.offline.ui.server import make_application
from segue.offline.ui.state import LivePage
from tests.support.waiting import PATIENCE_S

Enough = Callable[[dict[str, Any]], bool]


class Browser:
    """What the page in a browser does: keeps its cookie, asks as a page does, hears the stream."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client
        self.heard: dict[str, Any] = {}
        self.origin = str(client.make_url("/")).rstrip("/")

    async def post(self, path: str, body: Any, **headers: str) -> Any:
        return await self.client.post(path, json=body, headers={"Origin": self.origin} | headers)

    async def play(self, song_id: str, **more: Any) -> Any:
        answer = await self.post("/api/plays", {"song_id": song_id} | more)
        assert answer.status == 202, await answer.text()
        return await answer.json()

    async def until(
        self, enough: Callable[[dict[str, Any]], bool], within_s: float = PATIENCE_S
    ) -> Any:
        """Listen to the stream until `enough` holds of the last message of each name."""
        async with asyncio.timeout(within_s):
            async with self.client.get("/api/stream") as answer:
                assert answer.content_type == "text/event-stream"
                name = ""
                async for line in answer.content:
                    if line.startswith(b"event: "):
                        name = line[7:].decode().strip()
                    if line.startswith(b"data: "):
                        self.heard[name] = json.loads(line[6:])
                        if enough(self.heard):
                            return self.heard
        raise AssertionError("the stream ended")


@asynccontextmanager
async def browsing(page: LivePage, **names: Any) -> AsyncIterator[Browser]:
    async with TestClient(TestServer(make_application(page, **names))) as client:
        assert (await client.get("/")).status == 200
        yield Browser(client)


def listed(heard: dict[str, Any]) -> Any:
    return heard.get("listener", {}).get("list")


def answers(heard: dict[str, Any], event: dict[str, Any]) -> bool:
    return listed(heard) is not None and listed(heard)["eventId"] == event["eventId"]


def problem(heard: dict[str, Any]) -> str:
    return heard.get("status", {}).get("problem") or ""


def connected(heard: dict[str, Any]) -> bool:
    return "status" in heard and heard["status"]["problem"] is None
