"""The play log: the result of every reader and the input of every offline command."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.data.catalogue import NO_ARTIST, SongDetails
from segue.models.data.vocabulary import Vocabulary
from segue.models.errors import SegueError

PLAYS_SCHEMA = pl.Schema(
    {
        "user_id": pl.String,
        "session_id": pl.String,  # null where the source has none: split at gaps instead
        "song_id": pl.String,
        "played_at_ms": pl.Int64,  # Unix epoch, milliseconds, UTC
        "ms_played": pl.Int64,  # null where unknown
        "skipped": pl.Boolean,  # null where unknown
    }
)
SONGS_SCHEMA = pl.Schema(
    {"song_id": pl.String, "title": pl.String, "artist": pl.String, "album": pl.String}
)


DETAIL_COLUMNS = ("genres", "released_at_ms", "explicit")
"""Lists of text, the most relevant first; Unix epoch in milliseconds; Boolean."""


class PlayLogError(SegueError):
    """A play log that cannot be read, or has not what an operation needs."""


@dataclass(frozen=True)
class PlayLog:
    """Plays in order of time, and details of their songs.

    plays: PLAYS_SCHEMA, sorted by `played_at_ms` (ties keep the order of the source, reversed
        where it is newest first). Where `ordered` is False a last column "count" (Int64) is the
        number of plays of the song.
    songs: SONGS_SCHEMA, one row a song; only songs with details. Some sources have some of
        DETAIL_COLUMNS as well.
    format: the reader's name, e.g. "30music".
    timed: False where the source has an order but no times, so that times are synthetic.
    ordered: False where the source has counts only, without sessions.
    skipped_rows: number of bad rows; problems: the first of them, "file:line: field: reason".
    notes: decisions of the reader and what it ignored, for the user.
    """

    plays: pl.DataFrame
    songs: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SONGS_SCHEMA))
    format: str = "generated"
    timed: bool = True
    ordered: bool = True
    skipped_rows: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def titles(self) -> dict[str, tuple[str, str]]:
        """Return (title, artist) of every song with a title; the artist may be empty."""
        named = self.songs.drop_nulls("title").fill_null("")
        return {
            song_id: (title, artist)
            for song_id, title, artist in named.select("song_id", "title", "artist").iter_rows()
        }

    def details(self) -> dict[str, SongDetails]:
        """Return the details of every song that has some."""
        names = ("title", "artist", "album", *DETAIL_COLUMNS)
        rows = self.songs.with_columns(pl.col("title", "artist", "album").fill_null("")).select(
            "song_id", *(name for name in names if name in self.songs.columns)
        )
        return {
            row.pop("song_id"): SongDetails(**row | {"genres": tuple(row.get("genres") or ())})
            for row in rows.iter_rows(named=True)
        }

    def split_by_time(self, fraction: float) -> tuple[PlayLog, PlayLog]:
        """Split into the first `fraction` of the plays and the rest, by time.

        Plays of one millisecond are never separated, so every play of the second part is later
        than the first part. Raises PlayLogError for a log without an order.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction must lie between 0 and 1, got {fraction!r}")
        self._require_order("split by time")
        if self.plays.is_empty():
            return self, self
        cut = self.plays["played_at_ms"][int(self.plays.height * fraction)]
        first = self.plays.filter(pl.col("played_at_ms") < cut)
        rest = self.plays.filter(pl.col("played_at_ms") >= cut)
        return self._with(first), self._with(rest)

    def split_at(self, to_ms: int) -> tuple[PlayLog, PlayLog]:
        """Split into the plays up to a time, Unix milliseconds, and those after it."""
        self._require_order("split by time")
        before = pl.col("played_at_ms") <= to_ms
        return self._with(self.plays.filter(before)), self._with(self.plays.filter(~before))

    def sessions(self, gap_s: float) -> list[list[str]]:
        """Return the song ids of each session: the source's sessions, else split at gaps.

        Plays of one user with one `session_id` are one session, even where two sessions
        overlap. Where it is null, a new session starts after more than `gap_s` seconds between
        two plays. Sessions are in the order of their first play. Raises PlayLogError for a log
        without an order.
        """
        lists: list[list[str]] = self.session_table(gap_s)["song_id"].to_list()
        return lists

    def session_table(self, gap_s: float) -> pl.DataFrame:
        """Return the same sessions, one row each: user_id, began_ms, and of its plays, as lists,
        song_id, played_at_ms and skipped.
        """
        if not gap_s > 0:
            raise ValueError(f"gap_s must be > 0, got {gap_s!r}")
        self._require_order("split into sessions")
        together = self.plays.sort("user_id", "session_id", "played_at_ms", maintain_order=True)
        owner, session = pl.col("user_id"), pl.col("session_id")
        starts = (
            owner.ne_missing(owner.shift())
            | session.ne_missing(session.shift())
            | (session.is_null() & (pl.col("played_at_ms").diff() > gap_s * 1000))
        )
        return (
            together.with_columns(starts.fill_null(False).cum_sum().alias("session"))
            .group_by("session", maintain_order=True)
            .agg(
                pl.col("user_id").first(),
                pl.col("played_at_ms").first().alias("began_ms"),
                "song_id",
                "played_at_ms",
                "skipped",
            )
            .sort("began_ms", maintain_order=True)
            .drop("session")
        )

    def _with(self, plays: pl.DataFrame) -> PlayLog:
        return replace(self, plays=plays, skipped_rows=0, problems=())

    def _require_order(self, purpose: str) -> None:
        if not self.ordered:
            raise PlayLogError(
                f"a {self.format} log holds play counts without an order, so it cannot be "
                f"{purpose}: use a log whose plays have times or an order"
            )


def artist_numbers(log: PlayLog, songs: Vocabulary) -> NDArray[np.int32]:
    """Return the number of each song's artist, from 1, int32 [V + 1]; 0 for an unknown artist."""
    named = log.songs.filter(pl.col("artist").fill_null("") != "")
    by_song = dict(named.select("song_id", "artist").iter_rows())
    numbers: dict[str, int] = {}
    found = np.full(len(songs) + 1, NO_ARTIST, np.int32)
    for item, song_id in enumerate(songs.song_ids, 1):
        artist = by_song.get(song_id)
        if artist is not None:
            found[item] = numbers.setdefault(artist, len(numbers) + 1)
    return found
