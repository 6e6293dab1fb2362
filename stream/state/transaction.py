"""One write transaction on the store: a batch of plays appended, or listeners erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segue.models.data.decayed_popularity import PopularSong
from segue.models.data.play_buffer import BufferSnapshot
from segue.models.data.play_metadata import DetailLists
from segue.stream.messages.events import Erasure, Play
from segue.stream.state import codec
from segue.stream.state.codec import PartitionMetadata, Rows
from segue.stream.state.config import StoreConfig
from segue.stream.state.history import History, decode_history, encode_history
from segue.stream.state.partition import PartitionState


@dataclass(frozen=True, slots=True)
class Appended:
    """A play, and what the store knows as of it, whatever the batch.

    history, session: songs before the current session, and those of it, this play's last.
    popular, popular_before: the partition's most played songs with this play, and without.
    is_new: False where the play was delivered again; nothing is counted twice.
    history_details, session_details: when those songs were played, and whether skipped.
    snapshot: the partition's recent plays as of this one; None where it is a repeat of one long
    past.
    """

    play: Play
    history: list[str]
    session: list[str]
    popular: tuple[PopularSong, ...]
    popular_before: tuple[PopularSong, ...]
    is_new: bool
    history_details: DetailLists
    session_details: DetailLists
    snapshot: BufferSnapshot | None


class Transaction:
    """A write transaction: every listener and count is read once and written once."""

    def __init__(
        self,
        rows: Rows,
        ends: dict[int, int],
        states: dict[int, PartitionState],
        config: StoreConfig,
    ) -> None:
        """ends: the offset after the last record, by partition. states: updated on commit."""
        self.rows = rows
        self.ends = ends
        self._committed = states
        self.config = config
        self.histories: dict[bytes, History] = {}
        self.changed: set[bytes] = set()
        self.states = {partition: self._state(partition) for partition in ends}

    def append(self, plays: Sequence[Play]) -> list[Appended]:
        """Append plays; return what is known at each."""
        appended = [self._append_one(play) for play in plays]
        self._write()
        return appended

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Erase listeners."""
        for one in erasures:
            state = self.states[one.partition]
            if one.offset < state.position:
                continue
            key = codec.key_of(one.partition, one.user_id)
            state.erase(self._read_history(key))
            self.histories[key] = History()
            self.rows.delete("histories", key)
        self._write()

    def _append_one(self, play: Play) -> Appended:
        key = codec.key_of(play.partition, play.user_id)
        history = self._read_history(key)
        state, config = self.states[play.partition], self.config.history
        popular_before = state.popularity.top
        is_new = play.offset >= state.position
        if is_new:
            history.add(play, config)
            after, continues_session = history.previous_play(config)
            snapshot: BufferSnapshot | None = state.count(
                play, after, continues_session=continues_session
            )
            self.changed.add(key)
        else:
            history.check_holds(play)
            snapshot = state.snapshot_of(play)
        earlier, session = history.around(play, config)
        return Appended(
            play=play,
            history=earlier.songs,
            session=session.songs,
            popular=state.popularity.top,
            popular_before=popular_before,
            is_new=is_new,
            history_details=earlier.details,
            session_details=session.details,
            snapshot=snapshot,
        )

    def _read_history(self, key: bytes) -> History:
        history = self.histories.get(key)
        if history is None:
            stored = self.rows.get("histories", key)
            history = History() if stored is None else decode_history(stored)
            self.histories[key] = history
        return history

    def _state(self, partition: int) -> PartitionState:
        state, metadata = (
            self._committed.get(partition),
            self.rows.metadata(partition) or PartitionMetadata(),
        )
        # Another process of this machine may have brought the partition further.
        if state is None or state.position != metadata.position:
            state = PartitionState.read(self.rows, partition, self.config)
        return state

    def _write(self) -> None:
        for key in self.changed:
            self.rows.put("histories", key, encode_history(self.histories[key]))
        for partition, end in self.ends.items():
            self.states[partition].write(self.rows, end)
        self._committed.update(self.states)
