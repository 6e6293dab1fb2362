"""The page's state: who listens, which songs there are, how all goes; and who is told of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp

from segue.models.errors import SegueError
from segue.offline.ui.kafka_link import KafkaLink
from segue.offline.ui.listeners import Heard, Listener, Listeners
from segue.offline.ui.live_metrics import Window, read_counts
from segue.offline.ui.messages import (
    Drawn,
    Reason,
    Recommended,
    ShownList,
    ShownListener,
    ShownPlay,
    Song,
    Status,
)
from segue.offline.ui.song_coordinates import SongPlaces, open_places
from segue.offline.ui.song_search import SongBook
from segue.stream.config.settings import Settings
from segue.stream.messages.events import PlayEvent, RecommendationList

T = TypeVar("T")
LOOK_S = 2.0  # between two looks at the workers' metrics
METRICS_TIMEOUT_S = 2.0
FULL_LISTEN_MS = 210_000
SKIP_MS = 10_000


@dataclass(frozen=True)
class PageConfig:
    """What the page shows beside the topics.

    bundle: where titles and the map come from. metrics: URLs of workers' metrics. map_songs:
    how many songs the map has. map_dir: where its layout is kept.
    """

    settings: Settings
    bundle: Path | None
    bundle_version: str | None
    metrics: Sequence[str]
    map_songs: int
    map_dir: Path


class LivePage:
    """Everything behind the page but HTTP."""

    def __init__(self, config: PageConfig, book: SongBook) -> None:
        self.config, self.book = config, book
        self.listeners = Listeners()
        self.link = KafkaLink(config.settings, self._wants, self._take, book.tell)
        self.window = Window()
        self.places: SongPlaces | None = None
        self.map_problem: str | None = None if config.bundle else "no bundle is given"
        self.streams = 0
        self.closed = False
        self._changed = asyncio.Event()

    async def play(self, listener: Listener, song_id: str, skipped: bool, found: str) -> Heard:
        """Send a play as any producer does; KafkaUnavailable where it does not get there."""
        one = listener.hear(song_id, skipped, time.monotonic())
        event = PlayEvent(
            one.event_id,
            listener.user_id,
            song_id,
            time.time_ns() // 1_000_000,
            SKIP_MS if skipped else FULL_LISTEN_MS,
            skipped,
            {"client": "segue ui", "found": found},
        )
        try:
            await self.link.send(event)
        except SegueError:
            listener.take_back(one)
            raise
        finally:
            self.changed()
        return one

    async def watch(self) -> None:
        """Look at the workers' metrics again and again."""
        timeout = aiohttp.ClientTimeout(total=METRICS_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            while True:
                pages = [page for url in self.config.metrics if (page := await _read(client, url))]
                self.window.add(read_counts(time.monotonic(), self.link.lists, pages))
                self.changed()
                await asyncio.sleep(LOOK_S)

    async def draw_map(self) -> None:
        """Lay songs out, which takes seconds the first time, beside whatever else goes on."""
        bundle, kept_in = self.config.bundle, self.config.map_dir
        if bundle is None:
            return
        try:
            self.places = await _beside(lambda: open_places(bundle, kept_in, self.config.map_songs))
        except (SegueError, OSError) as error:
            self.map_problem = str(error)
        self.changed()

    def changed(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, within_s: float) -> None:
        """Wait until something may have changed, at most so long."""
        try:
            await asyncio.wait_for(self._changed.wait(), within_s)
        except TimeoutError:
            return

    def close(self) -> None:
        """Let everybody who waits go."""
        self.closed = True
        self.changed()

    def song(self, song_id: str) -> Song:
        """Show a song."""
        at = self.places.of(song_id) if self.places else None
        return Song(song_id, *self.book.name(song_id), at)

    def shown(self, listener: Listener) -> ShownListener:
        """Show all of a listener."""
        plays = [
            ShownPlay(one.event_id, self.song(one.song_id), one.skipped, one.rank)
            for one in listener.heard
        ]
        return ShownListener(listener.user_id, plays, self._list(listener))

    def status(self, listener: Listener) -> Status:
        """Tell how the parts are, as far as this listener is concerned."""
        drawn: Drawn = "ready" if self.places else "none" if self.map_problem else "drawing"
        return Status(
            self.link.problem,
            int(listener.waits_s(time.monotonic())),
            len(self.book),
            self.config.bundle_version,
            drawn,
            self.map_problem,
        )

    def _list(self, listener: Listener) -> ShownList | None:
        answer = listener.answer
        if answer is None:
            return None
        items = [
            Recommended(
                self.song(one.song_id),
                one.score,
                list(one.sources),
                [Reason(self.song(why.song_id), why.weight) for why in one.because],
                answer.before.get(one.song_id),
            )
            for one in answer.made.items
        ]
        cause, first = answer.made.cause.event_id, not answer.before
        return ShownList(answer.made.model, answer.latency_ms, cause, first, items)

    def _wants(self, user_id: str) -> bool:
        return self.listeners.of_user(user_id) is not None

    def _take(self, made: RecommendationList) -> None:
        listener = self.listeners.of_user(made.user_id)
        if listener is not None and listener.take(made, time.monotonic()):
            self.changed()


async def _read(client: aiohttp.ClientSession, url: str) -> str | None:
    """Read a worker's page of metrics; None where it gives none just now."""
    try:
        async with client.get(url) as answer:
            return await answer.text() if answer.ok else None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


async def _beside(work: Callable[[], T]) -> T:
    """Do long work in a thread that, unlike `asyncio.to_thread`'s, nobody's end waits for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(settle_by: Callable[..., None], what: object) -> None:
        if not done.done():
            settle_by(what)

    def run() -> None:
        outcome: tuple[Callable[..., None], object]
        try:
            outcome = done.set_result, work()
        except Exception as error:
            outcome = done.set_exception, error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="map", daemon=True).start()
    return await done
