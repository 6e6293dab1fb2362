"""The screen of the demo: some listeners with their lists, and metrics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from segue.offline.demo.scoreboard import Scoreboard
from segue.stream.messages.events import RecommendationList

SHOWN_LISTENERS = 4
SHOWN_SONGS = 5
REFRESHES_PER_S = 4
LINE_EVERY_S = 10.0


@dataclass(frozen=True)
class ShownList:
    """One list: its play, and the song that the listener played next."""

    song_id: str
    recommendations: RecommendationList
    next_song_id: str | None


class DemoView:
    """A live screen; plain lines where the output is no terminal."""

    def __init__(
        self, console: Console, titles: Mapping[str, tuple[str, str]], board: Scoreboard
    ) -> None:
        self.console = console
        self._titles = titles
        self._board = board
        self._recent: deque[ShownList] = deque(maxlen=SHOWN_LISTENERS)
        self._began = time.monotonic()
        self._shown = 0.0

    @contextmanager
    def watching(self) -> Iterator[Callable[[ShownList], None]]:
        """Show the screen; yield a function that accepts each list."""
        self._began = time.monotonic()
        if not self.console.is_terminal:
            yield self._line
            return
        with Live(console=self.console, refresh_per_second=REFRESHES_PER_S) as live:

            def show(shown: ShownList) -> None:
                if self._due(1 / REFRESHES_PER_S):
                    self._recent.append(shown)
                    live.update(self.screen())

            yield show
            live.update(self.screen())

    def screen(self) -> RenderableType:
        """Render the screen."""
        board = self._board
        bar = ProgressBar(total=len(board.songs), completed=board.lists)
        listeners = [self._listener(shown) for shown in self._recent]
        return Group(bar, self.figures(), *listeners)

    def figures(self) -> RenderableType:
        """Render the metrics so far."""
        board = self._board
        elapsed_s = max(time.monotonic() - self._began, 1e-9)
        table = Table.grid(padding=(0, 3))
        table.add_row(
            _figure("lists", f"{board.lists:,} of {len(board.songs):,} plays"),
            _figure("plays/s", f"{board.lists / elapsed_s:,.0f}"),
            _figure("latency p50", _milliseconds(board.latency_ms(50))),
            _figure("p99", _milliseconds(board.latency_ms(99))),
        )
        rates = board.rates()
        table.add_row(
            _figure("hit rate @20", _percent(rates["hit_rate_at_20"]), "bold green"),
            _figure("popularity", _percent(rates["popularity_hit_rate_at_20"])),
            _figure("best possible", _percent(rates["ceiling_hit_rate_at_20"])),
            _figure("evaluated", f"{board.judged:,}"),
        )
        return table

    def _listener(self, shown: ShownList) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=1)
        table.add_column(ratio=3, no_wrap=True)
        table.add_column(ratio=3, no_wrap=True, style="dim")
        for song in shown.recommendations.items[:SHOWN_SONGS]:
            hit = song.song_id == shown.next_song_id
            reasons = ", ".join(self._title_of(why.song_id) for why in song.because)
            table.add_row(
                "✓" if hit else "",
                Text(self._title_of(song.song_id), style="bold green" if hit else ""),
                Text(f"because of {reasons}" if reasons else ", ".join(song.sources)),
            )
        playing = Text.assemble(
            (shown.recommendations.user_id, "bold cyan"), " plays ", self._title_of(shown.song_id)
        )
        return Panel(table, title=playing, title_align="left", subtitle=self._outcome(shown))

    def _title_of(self, song_id: str) -> str:
        return " – ".join(part for part in self._titles.get(song_id, ()) if part) or song_id

    def _outcome(self, shown: ShownList) -> Text:
        if shown.next_song_id is None:
            return Text("no further play", style="dim")
        songs = [song.song_id for song in shown.recommendations.items]
        found = shown.next_song_id in songs
        position = f"rank {songs.index(shown.next_song_id) + 1}" if found else "not in the list"
        title = self._title_of(shown.next_song_id)
        return Text(f"next play {title}: {position}", style="green" if found else "dim")

    def _line(self, shown: ShownList) -> None:
        if self._due(LINE_EVERY_S):
            self.console.print(self.figures())
            self.console.print(self._listener(shown))

    def _due(self, every_s: float) -> bool:
        now = time.monotonic()
        if now - self._shown < every_s:
            return False
        self._shown = now
        return True


def _figure(name: str, value: str, style: str = "bold") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style))


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} ms"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"
