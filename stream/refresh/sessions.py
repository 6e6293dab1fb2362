"""Sessions rebuilt from the stream: those still open, those not learned yet, a sample of the rest.

A session belongs to a model once it ended by the time up to which the model has learned: its
bundle's training.to_ms. That is the one mark by which sessions are distinguished. It travels with
the bundle, so that whatever dies in between, no session is learned twice and none is left out.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from segue.models.errors import SegueError
from segue.stream.messages.events import Erasure, Play
from segue.stream.messages.records import Batch

FORMAT = 1


@dataclass(frozen=True)
class FreshConfig:
    """gap_ms: silence that ends a session. most_plays: of one session; more begin another.

    reservoir: learned sessions that are kept to be mixed in. seed: of the chance that draws them.
    """

    gap_ms: int = 1_800_000
    most_plays: int = 500
    reservoir: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("gap_ms", "most_plays", "reservoir"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)!r}")


class CheckpointError(SegueError):
    """A checkpoint that cannot be read."""


class Session(msgspec.Struct, array_like=True):
    """One listener's plays without a gap, in the order of the log; columns, as they decode fast."""

    user_id: str
    songs: list[str] = []
    played_at_ms: list[int] = []
    skipped: list[bool | None] = []

    @property
    def end_ms(self) -> int:
        """When its last play began."""
        return max(self.played_at_ms)


class State(msgspec.Struct):
    """All that a refresh remembers of the stream, as it is checkpointed.

    positions, newest_ms: by partition, the offset after the last play counted, and the time of
    the newest. open: by partition and listener. fresh: ended, and not learned by every model.
    offered: sessions that the reservoir was drawn from. plays: taken in since the last refresh.
    """

    format: int = FORMAT
    positions: dict[int, int] = {}
    newest_ms: dict[int, int] = {}
    open: dict[str, Session] = {}
    fresh: list[Session] = []
    reservoir: list[Session] = []
    offered: int = 0
    plays: int = 0


class FreshSessions:
    """Takes plays in, each once, and tells what there is to learn from."""

    def __init__(self, config: FreshConfig | None = None, state: State | None = None) -> None:
        self.config = config or FreshConfig()
        self.state = state or State()

    @classmethod
    def restore(cls, file: Path, config: FreshConfig) -> FreshSessions:
        """Go on from a checkpoint, or begin where there is none; CheckpointError: no checkpoint."""
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return cls(config)
        try:
            state = msgspec.msgpack.decode(raw, type=State)
        except msgspec.DecodeError as error:
            raise CheckpointError(f"{file}: {error}: {_REMEDY}") from error
        if state.format != FORMAT:
            raise CheckpointError(f"{file} has format {state.format}, not {FORMAT}: {_REMEDY}")
        return cls(config, state)

    def checkpoint(self, file: Path) -> None:
        """Write everything: readers see this checkpoint or the one before, whole."""
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".new")
        with beside.open("wb") as out:
            out.write(msgspec.msgpack.encode(self.state))
            out.flush()
            os.fsync(out.fileno())
        beside.replace(file)

    def position(self, partition: int) -> int:
        """Return the offset up to which a partition's plays are counted."""
        return self.state.positions.get(partition, 0)

    def take(self, plays: Iterable[Play], next_offsets: Mapping[int, int]) -> None:
        """Count plays, in order; those below the position were counted before.

        next_offsets: for each partition, the offset after the last record looked at.
        """
        for play in plays:
            if play.offset >= self.position(play.partition):
                self._add(play)
                self.state.positions[play.partition] = play.offset + 1
        for partition, offset in next_offsets.items():
            self.state.positions[partition] = max(self.position(partition), offset)

    def take_batch(self, batch: Batch) -> None:
        """Append a batch's plays and erase its erased listeners, in order."""
        for erasures, plays, next_offsets in batch.sub_batches():
            for erasure in erasures:
                self.erase(erasure)
            self.take(plays, next_offsets)

    def erase(self, erasure: Erasure) -> None:
        """Delete a listener's sessions, learned or not, whichever partition they came from.

        An erasure below the position was carried out before: what came after it stays.
        """
        state, user_id = self.state, erasure.user_id
        if erasure.offset < self.position(erasure.partition):
            return
        state.open = {key: one for key, one in state.open.items() if one.user_id != user_id}
        state.fresh = [one for one in state.fresh if one.user_id != user_id]
        state.reservoir = [one for one in state.reservoir if one.user_id != user_id]
        state.positions[erasure.partition] = erasure.offset + 1

    def close_stale(self) -> None:
        """End the sessions whose listeners have been silent for longer than a gap."""
        ended_ms = self.ended_ms
        for key, session in list(self.state.open.items()):
            if session.end_ms <= ended_ms:
                self.state.fresh.append(self.state.open.pop(key))

    @property
    def ended_ms(self) -> int:
        """The stream's time up to which sessions are known to have ended: the newest less a gap."""
        return max(self.state.newest_ms.values(), default=0) - self.config.gap_ms

    def ready(self, learned_ms: int) -> list[Session]:
        """Return the sessions that ended after `learned_ms`, in order of their ends."""
        self.close_stale()
        ended_ms = self.ended_ms
        found = [one for one in self.state.fresh if learned_ms < one.end_ms <= ended_ms]
        return sorted(found, key=lambda one: (one.end_ms, one.user_id))

    def learned(self, learned_ms: int) -> None:
        """Move sessions that every model has learned into the reservoir, each with equal chance.

        Drawn as in algorithm R (Vitter, 1985), by a chance that the session's number decides.
        """
        known = [one for one in self.state.fresh if one.end_ms <= learned_ms]
        if not known:
            return
        self.state.fresh = [one for one in self.state.fresh if one.end_ms > learned_ms]
        for session in sorted(known, key=lambda one: (one.end_ms, one.user_id)):
            self._offer(session)

    def _offer(self, session: Session) -> None:
        state, number = self.state, self.state.offered
        state.offered += 1
        if len(state.reservoir) < self.config.reservoir:
            state.reservoir.append(session)
            return
        place = random.Random(f"{self.config.seed}:{number}").randrange(number + 1)
        if place < self.config.reservoir:
            state.reservoir[place] = session

    def _add(self, play: Play) -> None:
        state, key = self.state, f"{play.partition}:{play.user_id}"
        state.plays += 1
        newest_ms = state.newest_ms.get(play.partition, 0)
        state.newest_ms[play.partition] = max(newest_ms, play.played_at_ms)
        session = state.open.get(key)
        if session is not None and self._is_over(session, play):
            state.fresh.append(state.open.pop(key))
            session = None
        if session is None:
            session = state.open[key] = Session(play.user_id)
        session.songs.append(play.song_id)
        session.played_at_ms.append(play.played_at_ms)
        session.skipped.append(play.skipped)

    def _is_over(self, session: Session, play: Play) -> bool:
        silent_ms = play.played_at_ms - session.played_at_ms[-1]
        return silent_ms > self.config.gap_ms or len(session.songs) >= self.config.most_plays


_REMEDY = "move it away; what is not learned yet is read from the plays topic again"
