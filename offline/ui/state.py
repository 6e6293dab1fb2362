"""The state of the page: listeners, songs, the map and live metrics."""

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
from segue.offline.ui.listeners import Listener, Listeners, PlayedSong
from segue.offline.ui.live_metrics import MetricsWindow, parse_counters
from segue.offline.ui.messages import (
    Attribution,
    MapState,
    Recommended,
    ShownList,
    ShownListener,
    ShownPlay,
    Song,
    Status,
)
from segue.offline.ui.song_coordinates import SongCoordinates, load_coordinates
from segue.offline.ui.song_search import SongSearch
from segue.stream.config.settings import Settings
from segue.stream.messages.events import PlayEvent, RecommendationList

T = TypeVar("T")
SCRAPE_S = 2.0  # between two scrapes of the workers' metrics
METRICS_TIMEOUT_S = 2.0
FULL_LISTEN_MS = 210_000
SKIP_MS = 10_000


@dataclass(frozen=True)
class PageConfig:
    """What the page shows besides the topics.

    bundle: source of titles and the map. metrics: URLs of workers' metrics. map_songs: number
    of songs on the map. map_dir: cache of its coordinates.
    """

    settings: Settings
    bundle: Path | None
    bundle_version: str | None
    metrics: Sequence[str]
    map_songs: int
    map_dir: Path


class LivePage:
    """The page without HTTP."""

    def __init__(self, config: PageConfig, songs: SongSearch) -> None:
        self.config, self.songs = config, songs
        self.listeners = Listeners()
        self.link = KafkaLink(config.settings, self._is_ours, self._receive, songs.update)
        self.window = MetricsWindow()
        self.coordinates: SongCoordinates | None = None
        self.map_problem: str | None = None if config.bundle else "no bundle is given"
        self.streams = 0
        self.closed = False
        self._changed = asyncio.Event()

    async def play(self, listener: Listener, song_id: str, skipped: bool, found: str) -> PlayedSong:
        """Send a play to Kafka; KafkaUnavailable where it cannot be delivered."""
        one = listener.add_play(song_id, skipped, time.monotonic())
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
            listener.remove_play(one)
            raise
        finally:
            self.changed()
        return one

    async def watch(self) -> None:
        """Scrape the workers' metrics periodically."""
        timeout = aiohttp.ClientTimeout(total=METRICS_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            while True:
                pages = [page for url in self.config.metrics if (page := await _read(client, url))]
                self.window.add(parse_counters(time.monotonic(), self.link.lists, pages))
                self.changed()
                await asyncio.sleep(SCRAPE_S)

    async def draw_map(self) -> None:
        """Compute the map in a thread, which takes seconds the first time, or read it."""
        bundle, cache = self.config.bundle, self.config.map_dir
        if bundle is None:
            return
        try:
            self.coordinates = await _in_daemon_thread(
                lambda: load_coordinates(bundle, cache, self.config.map_songs)
            )
        except (SegueError, OSError) as error:
            self.map_problem = str(error)
        self.changed()

    def changed(self) -> None:
        """Wake all that wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, within_s: float) -> None:
        """Wait for a change, at most `within_s` seconds."""
        try:
            await asyncio.wait_for(self._changed.wait(), within_s)
        except TimeoutError:
            return

    def close(self) -> None:
        """Stop all streams."""
        self.closed = True
        self.changed()

    def song(self, song_id: str) -> Song:
        """Return a song as the page shows it."""
        at = self.coordinates.of(song_id) if self.coordinates else None
        return Song(song_id, *self.songs.name(song_id), at)

    def shown(self, listener: Listener) -> ShownListener:
        """Return a listener as the page shows them."""
        plays = [
            ShownPlay(one.event_id, self.song(one.song_id), one.skipped, one.rank)
            for one in listener.plays
        ]
        return ShownListener(listener.user_id, plays, self._list(listener))

    def status(self, listener: Listener) -> Status:
        """Return the status of Kafka, songs and map, and the waiting time of a listener."""
        map_state: MapState = (
            "ready" if self.coordinates else "none" if self.map_problem else "drawing"
        )
        return Status(
            self.link.problem,
            int(listener.waiting_s(time.monotonic())),
            len(self.songs),
            self.config.bundle_version,
            map_state,
            self.map_problem,
        )

    def _list(self, listener: Listener) -> ShownList | None:
        response = listener.response
        if response is None:
            return None
        recommendations = response.recommendations
        items = [
            Recommended(
                self.song(one.song_id),
                one.score,
                list(one.sources),
                [Attribution(self.song(why.song_id), why.weight) for why in one.because],
                response.previous_ranks.get(one.song_id),
            )
            for one in recommendations.items
        ]
        return ShownList(
            recommendations.model,
            response.latency_ms,
            recommendations.cause.event_id,
            not response.previous_ranks,
            items,
        )

    def _is_ours(self, user_id: str) -> bool:
        return self.listeners.find_user(user_id) is not None

    def _receive(self, recommendations: RecommendationList) -> None:
        listener = self.listeners.find_user(recommendations.user_id)
        if listener is not None and listener.receive(recommendations, time.monotonic()):
            self.changed()


async def _read(client: aiohttp.ClientSession, url: str) -> str | None:
    """Read a worker's metrics; None where it does not respond."""
    try:
        async with client.get(url) as response:
            return await response.text() if response.ok else None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


async def _in_daemon_thread(work: Callable[[], T]) -> T:
    """Run work in a thread that, unlike that of `asyncio.to_thread`, does not delay exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def resolve(setter: Callable[..., None], value: object) -> None:
        if not done.done():
            setter(value)

    def run() -> None:
        outcome: tuple[Callable[..., None], object]
        try:
            outcome = done.set_result, work()
        except Exception as error:
            outcome = done.set_exception, error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(resolve, *outcome)

    threading.Thread(target=run, name="map", daemon=True).start()
    return await done
