"""The play log: what every reader makes and every offline command takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

PLAYS_SCHEMA = pl.Schema(
    {
        "user_id": pl.String,
        "session_id": pl.String,  # null where the source has none: cut by the gap instead
        "song_id": pl.String,
        "played_at_ms": pl.Int64,  # Unix epoch, milliseconds, UTC
        "ms_played": pl.Int64,  # null where unknown
        "skipped": pl.Boolean,  # null where unknown
    }
)
SONGS_SCHEMA = pl.Schema(
    {"song_id": pl.String, "title": pl.String, "artist": pl.String, "album": pl.String}
)


@dataclass(frozen=True)
class PlayLog:
    """Plays in the order they happened, and what is known of their songs.

    plays: PLAYS_SCHEMA, sorted by `played_at_ms` (ties keep the order of the source).
    songs: SONGS_SCHEMA, one row a song; only songs of which something is known.
    format: the reader's name, e.g. "30music".
    timed: False where the source has an order but no clock, so that the times are made up.
    ordered: False where the source has counts only: no session can be told from it.
    skipped_rows: rows left out; problems: the first of them, "file:line: field: reason".
    """

    plays: pl.DataFrame
    songs: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SONGS_SCHEMA))
    format: str = "generated"
    timed: bool = True
    ordered: bool = True
    skipped_rows: int = 0
    problems: tuple[str, ...] = ()

    def split_by_time(self, fraction: float) -> tuple[PlayLog, PlayLog]:
        """Cut into the first `fraction` of the plays and the rest, by time.

        Plays of one millisecond are never parted, so nothing of the second part happened
        before, or together with, the end of the first.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction must lie between 0 and 1, got {fraction!r}")
        if self.plays.is_empty():
            return self, self
        cut = self.plays["played_at_ms"][int(self.plays.height * fraction)]
        first = self.plays.filter(pl.col("played_at_ms") < cut)
        rest = self.plays.filter(pl.col("played_at_ms") >= cut)
        return self._with(first), self._with(rest)

    def sessions(self, gap_s: float) -> list[list[str]]:
        """Give each session's song ids in order: the source's sessions, else cut at gaps.

        Within one user a new session starts where `session_id` changes, or, where it is null,
        where more than `gap_s` seconds lie between two plays. Sessions come in the order of
        their first play.
        """
        by_user = self.plays.sort("user_id", "played_at_ms", maintain_order=True)
        same_user = pl.col("user_id") == pl.col("user_id").shift(1)
        gap = pl.col("played_at_ms").diff() > gap_s * 1000
        changed = pl.col("session_id").ne_missing(pl.col("session_id").shift(1))
        starts = ~same_user.fill_null(False) | pl.when(
            pl.col("session_id").is_null() & pl.col("session_id").shift(1).is_null()
        ).then(gap).otherwise(changed)
        numbered = by_user.with_columns(starts.fill_null(True).cum_sum().alias("session"))
        grouped = (
            numbered.group_by("session", maintain_order=True)
            .agg("song_id", pl.col("played_at_ms").first().alias("began"))
            .sort("began", maintain_order=True)
        )
        lists: list[list[str]] = grouped["song_id"].to_list()
        return lists

    def _with(self, plays: pl.DataFrame) -> PlayLog:
        return PlayLog(plays, self.songs, self.format, self.timed, self.ordered)
