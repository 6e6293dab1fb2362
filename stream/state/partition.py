"""State of one partition as a whole: how far its log is read, popularity, recent plays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from segue.models.data.decayed_popularity import RecentPopularity
from segue.models.data.play_buffer import BufferSnapshot, RecentPlay, RecentPlays
from segue.stream.messages.events import Play
from segue.stream.state import codec
from segue.stream.state.codec import PartitionMetadata, Rows
from segue.stream.state.config import StoreConfig
from segue.stream.state.history import History


@dataclass
class PartitionState:
    """A partition in memory, kept in step with the store.

    position: the offset up to which its plays are counted. newest_ms: the latest played_at_ms.
    """

    partition: int
    position: int
    newest_ms: int
    popularity: RecentPopularity
    recent: RecentPlays
    _counted: set[str] = field(default_factory=set)
    _added: list[RecentPlay] = field(default_factory=list)

    @classmethod
    def read(cls, rows: Rows, partition: int, config: StoreConfig) -> PartitionState:
        """Read a partition's state; an empty one where the store holds none."""
        popularity = RecentPopularity(
            config.popularity_half_life_ms,
            config.popularity_max_songs,
            config.popular_list_length,
            dict(stored_weights(rows, partition)),
        )
        recent = read_recent(rows, partition, config.recent_plays)
        metadata = rows.metadata(partition) or PartitionMetadata()
        return cls(partition, metadata.position, metadata.newest_ms, popularity, recent)

    def count(self, play: Play, after: int | None, *, continues_session: bool) -> BufferSnapshot:
        """Count a new play.

        after: the offset of its listener's play before it, None for none. continues_session:
        whether the two are of one session.
        """
        self.position = play.offset + 1
        self.newest_ms = max(self.newest_ms, play.played_at_ms)
        self.popularity.add(play.song_id, play.played_at_ms)
        self._counted.add(play.song_id)
        self._counted.update(self.popularity.shrink())
        added = self.recent.add(
            play.song_id, play.offset, play.played_at_ms, after, continues_session=continues_session
        )
        self._added.append(added)
        return BufferSnapshot(self.recent, added.number)

    def snapshot_of(self, play: Play) -> BufferSnapshot | None:
        """Return the snapshot at a play that was counted before.

        None where it has left the buffer, or was erased.
        """
        number = self.recent.number_at(play.offset)
        if number is None or self.recent.is_erased(number):
            return None
        return BufferSnapshot(self.recent, number)

    def erase(self, history: History) -> None:
        """Subtract a listener's plays, as far as they can be identified.

        These are the plays of the history, and those before them that the ring leads to.
        """
        plays = dict(zip(history.offsets, history.plays(), strict=True))
        last = self.recent.number_at(history.offsets[-1]) if history.offsets else None
        for play in self.recent.trail(last or 0):
            plays[play.offset] = play.song_id, play.played_at_ms
            self._added.append(self.recent.erase(play.number))
        self._counted.update(self.popularity.remove(plays.values()))

    def write(self, rows: Rows, end: int) -> None:
        """Write what has changed. end: the offset after the last record that was read."""
        self.position = max(self.position, end)
        partition = codec.PARTITION_NUMBER.pack(self.partition)
        rows.enter(self.partition, self.position, self.newest_ms)
        for song_id in self._counted:
            key, weight = partition + song_id.encode(), self.popularity.weights.get(song_id)
            if weight is None:
                rows.delete("popularity", key)
            else:
                rows.put("popularity", key, codec.WEIGHT.pack(weight))
        for play in self._added:
            self._keep(rows, play)
        self._counted.clear()
        self._added.clear()

    def _keep(self, rows: Rows, play: RecentPlay) -> None:
        key = codec.RECENT_KEY.pack(self.partition, play.number)
        rows.put("recent", key, codec.encode_recent(play))
        if play.number > self.recent.capacity:
            gone = play.number - self.recent.capacity
            rows.delete("recent", codec.RECENT_KEY.pack(self.partition, gone))


def stored_weights(rows: Rows, partition: int) -> Iterator[tuple[str, float]]:
    """Yield a partition's songs and log2 of their decayed play counts."""
    for key, stored in rows.walk("popularity", prefix=codec.PARTITION_NUMBER.pack(partition)):
        yield key[4:].decode(), codec.WEIGHT.unpack(stored)[0]


def read_recent(rows: Rows, partition: int, window: int) -> RecentPlays:
    """Read the plays that a window of this size, and as many again, has room for."""
    first = max(1, _newest_number(rows, partition) - 2 * window + 1)
    start = codec.RECENT_KEY.pack(partition, first)
    found = rows.walk("recent", start, codec.PARTITION_NUMBER.pack(partition))
    return RecentPlays.of(window, (codec.decode_recent(key, stored) for key, stored in found))


def _newest_number(rows: Rows, partition: int) -> int:
    """Return the number of a partition's newest play, 0 for none."""
    last = rows.last_before("recent", codec.RECENT_KEY.pack(partition + 1, 0))
    if last is None:
        return 0
    owner, number = codec.RECENT_KEY.unpack(last)
    return number if owner == partition else 0
