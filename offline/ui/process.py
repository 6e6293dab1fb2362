"""The server of the page as a process, stopped by Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from aiohttp import web

from segue.models.bundles.bundle import read_bundle
from segue.models.errors import SegueError
from segue.offline.datasets.readers import read_plays
from segue.offline.shadow_test.scrape import metrics_url
from segue.offline.ui.server import make_application
from segue.offline.ui.song_search import SongSearch
from segue.offline.ui.state import LivePage, PageConfig
from segue.stream.config.settings import Settings
from segue.stream.serving.model_registry import bundle_directory, read_model_registry

SHUTDOWN_S = 3.0


class UiError(SegueError):
    """A page that cannot be served."""


@dataclass(frozen=True)
class UiConfig:
    """Options of `segue ui`.

    plays_file: a play log with titles. metrics: addresses of workers' metrics; by default from
    the settings. host_names: further accepted Host names. map_dir: cache of the map; by default
    below the settings' data_dir.
    """

    settings: Settings
    host: str = "127.0.0.1"
    port: int = 8800
    host_names: Sequence[str] = ()
    plays_file: Path | None = None
    format_name: str | None = None
    metrics: Sequence[str] = ()
    map_songs: int = 2_000
    map_dir: Path | None = None


def serve(config: UiConfig, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve the page until SIGINT or SIGTERM.

    on_ready: called once it can be opened. Raises UiError where the address is not available,
    BundleError or another SegueError where titles cannot be read.
    """
    logging.basicConfig(level=config.settings.log_level, format="%(levelname)s %(message)s")
    # The page shows a broken connection once; aiokafka would log it again and again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    bundle = _bundle(config.settings)
    songs, version = load_songs(config, bundle)
    addresses = config.metrics or [_own_metrics(config.settings)]
    page_config = PageConfig(
        config.settings,
        bundle,
        version,
        [metrics_url(each) for each in addresses if each],
        config.map_songs,
        config.map_dir or config.settings.data_dir / "maps",
    )

    async def run() -> None:
        page = LivePage(page_config, songs)
        async with _serving(config, make_application(page, [config.host, *config.host_names])):
            click.echo(f"{len(songs):,} songs. Open http://{config.host}:{config.port}")
            on_ready()
            await _stopped()

    asyncio.run(run())


@asynccontextmanager
async def _serving(config: UiConfig, application: web.Application) -> AsyncIterator[None]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
    try:
        await runner.setup()
        await web.TCPSite(runner, config.host, config.port).start()
        yield
    except OSError as error:
        raise UiError(
            f"cannot serve the page on {config.host}:{config.port}: {error.strerror}: "
            "give another --port"
        ) from error
    finally:
        await runner.cleanup()


async def _stopped() -> None:
    """Wait for SIGINT or SIGTERM."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def load_songs(config: UiConfig, bundle: Path | None) -> tuple[SongSearch, str | None]:
    """Read the songs of the bundle, most played first, and of the log; and the bundle's version.

    Details in the log override those in the bundle.
    """
    log = read_plays(config.plays_file, config.format_name) if config.plays_file else None
    details = log.details() if log else {}
    if bundle is None:
        played = log.plays["song_id"].unique(maintain_order=True) if log else ()
        return SongSearch(played, details), None
    read = read_bundle(bundle, kind=None)
    order = read.weights["popularity"][1:].argsort(descending=True, stable=True) + 1
    song_ids = read.vocabulary.songs(order.tolist())
    return SongSearch(song_ids, {**read.details, **details}), read.manifest.version


def _bundle(settings: Settings) -> Path | None:
    """Return the bundle that workers start with."""
    if settings.bundle_root is None:
        return settings.bundle
    active = read_model_registry(settings).active
    if active is None:
        return settings.bundle
    return bundle_directory(settings.bundle_root, active.location)


def _own_metrics(settings: Settings) -> str:
    return f"{settings.metrics_host}:{settings.metrics_port}" if settings.metrics_port else ""
