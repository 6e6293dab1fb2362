"""One listener's recent plays, and the session they are in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from segue.models.data.play_metadata import DetailLists
from segue.models.errors import SegueError
from segue.stream.messages.events import Play
from segue.stream.state.config import HistoryConfig


class LogReplaced(SegueError):
    """The plays topic is not the one that these histories were built from."""


class Segment(NamedTuple):
    """Consecutive plays of one listener: their songs, times and skips."""

    songs: list[str]
    details: DetailLists


class History(msgspec.Struct, array_like=True):
    """Plays of one listener in the order of the log; columns, because they decode fast."""

    songs: list[str] = []
    played_at_ms: list[int] = []
    offsets: list[int] = []
    ms_played: list[int | None] = []
    skipped: list[bool | None] = []

    def add(self, play: Play, config: HistoryConfig) -> None:
        """Append one play and drop what lies beyond the bounds."""
        self.songs.append(play.song_id)
        self.played_at_ms.append(play.played_at_ms)
        self.offsets.append(play.offset)
        self.ms_played.append(play.ms_played)
        self.skipped.append(play.skipped)
        excess = max(0, len(self.songs) - config.max_songs)
        oldest_ms = play.played_at_ms - config.max_age_ms
        while self.played_at_ms[excess] < oldest_ms:
            excess += 1
        if excess:
            self._drop_first(excess)

    def plays(self) -> Iterator[tuple[str, int]]:
        """Return each play's song and time, oldest first."""
        return zip(self.songs, self.played_at_ms, strict=True)

    def previous_play(self, config: HistoryConfig) -> tuple[int | None, bool]:
        """Return the offset of the play before the newest, and whether both are of one session.

        None where the newest is the only one.
        """
        times = self.played_at_ms
        if len(times) < 2:
            return None, False
        return self.offsets[-2], times[-1] - times[-2] <= config.session_gap_ms

    def split(self, offset: int, config: HistoryConfig) -> tuple[Segment, Segment]:
        """Return the plays before the session of the play at `offset`, and those of the session.

        Of the session all up to that play; before it the last `config.earlier_songs`. A session
        ends where more than the gap lies between the starts of two plays. A play that reports
        late, with a time before that of the play before it, continues the session.
        """
        end = bisect_right(self.offsets, offset)
        start = max(0, end - 1)
        stop = max(0, end - config.session_max_songs)
        times = self.played_at_ms
        while start > stop and times[start] - times[start - 1] <= config.session_gap_ms:
            start -= 1
        return self._segment(max(0, start - config.earlier_songs), start), self._segment(start, end)

    def around(self, play: Play, config: HistoryConfig) -> tuple[Segment, Segment]:
        """Return `split` at a play of this listener.

        A play that has left the history is, by itself, all that is known of its session.
        """
        earlier, session = self.split(play.offset, config)
        if not session.songs:
            session = Segment([play.song_id], DetailLists([play.played_at_ms], [play.skipped]))
        return earlier, session

    def session(self, offset: int, config: HistoryConfig) -> list[str]:
        """Return the songs of the session of the play at `offset`, up to it."""
        return self.split(offset, config)[1].songs

    def _segment(self, start: int, end: int) -> Segment:
        details = DetailLists(self.played_at_ms[start:end], self.skipped[start:end])
        return Segment(self.songs[start:end], details)

    def check_holds(self, play: Play) -> None:
        """Raise LogReplaced where a play that was counted before is not what stands here.

        Only plays that have since left the history, over its bounds, may be missing.
        """
        place = bisect_right(self.offsets, play.offset) - 1
        if place < 0:
            return
        if self.offsets[place] != play.offset or self.songs[place] != play.song_id:
            raise LogReplaced(
                f"partition {play.partition} holds {play.song_id!r} by {play.user_id!r} at offset "
                f"{play.offset}, but the histories remember another play there: the plays topic "
                "was made anew. Move the data directory away, or give a new one in SEGUE_DATA_DIR"
            )

    def _drop_first(self, count: int) -> None:
        for column in (self.songs, self.played_at_ms, self.offsets, self.ms_played, self.skipped):
            del column[:count]


_decoder = msgspec.msgpack.Decoder(History)
_encoder = msgspec.msgpack.Encoder()


def decode_history(stored: bytes) -> History:
    """Decode a history."""
    return _decoder.decode(stored)


def encode_history(history: History) -> bytes:
    """Encode a history."""
    return _encoder.encode(history)
