"""One batch's work on the store, within one write transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segue.models.data.decayed_popularity import PopularSong
from segue.models.data.play_buffer import Moment
from segue.models.data.play_metadata import DetailLists
from segue.stream.messages.events import Erasure, Play
from segue.stream.state import codec as layout
from segue.stream.state.codec import Ledger, Rows
from segue.stream.state.history import History, decode_history, encode_history
from segue.stream.state.partition import PartitionState

if TYPE_CHECKING:
    from segue.stream.state.store import StoreConfig


@dataclass(frozen=True, slots=True)
class Appended:
    """What the store knows at one play, whatever batch it came in.

    history, session: songs before the current session, and of it, this play's the last.
    popular, popular_before: the partition's most played songs with this play, and without.
    is_new: False where the log delivered the play again; then nothing was counted twice.
    history_details, session_details: when those songs were played, and whether skipped.
    moment: the partition's recent plays as of this one; None where it is a repeat of one long
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
    moment: Moment | None


class StoreBatch:
    """One write transaction's work: every listener and count read once, written once."""

    def __init__(
        self,
        rows: Rows,
        ends: dict[int, int],
        states: dict[int, PartitionState],
        config: StoreConfig,
    ) -> None:
        """Begin. ends: the offset after the last record, by partition. states: kept up to date."""
        self.rows = rows
        self.ends = ends
        self.kept = states
        self.config = config
        self.histories: dict[bytes, History] = {}
        self.changed: set[bytes] = set()
        self.states = {partition: self._state(partition) for partition in ends}

    def append(self, plays: Sequence[Play]) -> list[Appended]:
        """Count plays and tell of each what was known at it."""
        appended = [self._append_one(play) for play in plays]
        self._write()
        return appended

    def forget(self, erasures: Sequence[Erasure]) -> None:
        """Delete what is known of listeners."""
        for one in erasures:
            state = self.states[one.partition]
            if one.offset < state.position:
                continue
            key = layout.key_of(one.partition, one.user_id)
            state.forget(self._read_history(key))
            self.histories[key] = History()
            self.rows.delete("histories", key)
        self._write()

    def _append_one(self, play: Play) -> Appended:
        key = layout.key_of(play.partition, play.user_id)
        history = self._read_history(key)
        state, config = self.states[play.partition], self.config.history
        popular_before = state.popularity.top
        is_new = play.offset >= state.position
        if is_new:
            history.add(play, config)
            after, goes_on = history.forerunner(config)
            moment: Moment | None = state.count(play, after, goes_on=goes_on)
            self.changed.add(key)
        else:
            history.check_holds(play)
            moment = state.moment_of(play)
        earlier, session = history.around(play, config)
        told = (state.popularity.top, popular_before, is_new, earlier.details, session.details)
        return Appended(play, earlier.songs, session.songs, *told, moment)

    def _read_history(self, key: bytes) -> History:
        history = self.histories.get(key)
        if history is None:
            stored = self.rows.get("histories", key)
            history = History() if stored is None else decode_history(stored)
            self.histories[key] = history
        return history

    def _state(self, partition: int) -> PartitionState:
        state, ledger = self.kept.get(partition), self.rows.ledger(partition) or Ledger()
        # Another process of this machine may have brought the partition further.
        if state is None or state.position != ledger.position:
            state = PartitionState.read(self.rows, partition, self.config)
        return state

    def _write(self) -> None:
        for key in self.changed:
            self.rows.put("histories", key, encode_history(self.histories[key]))
        for partition, end in self.ends.items():
            self.states[partition].write(self.rows, end)
        self.kept.update(self.states)
