"""What a bundle goes on learning from: the plays since, and as many of those before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from models.bundle import Bundle
from models.next_song import SessionLog
from models.vocabulary import Vocabulary
from offline.plays import PlayLog
from offline.session_log import Numbering
from offline.train import TrainingError


@dataclass(frozen=True)
class NewerPlays:
    """New sessions and old ones, in the numbers of `songs`.

    songs: the bundle's, and those of the new sessions behind them. old: the last before, of
    about as many plays as are new, of songs that the bundle knows: so what was learned stays.
    """

    new: SessionLog
    old: SessionLog
    songs: Vocabulary

    @classmethod
    def of(cls, numbering: Numbering, older: PlayLog, newer: PlayLog, gap_s: float) -> Self:
        """numbering: that begins with the bundle's songs, and takes up those of `newer`."""
        known = len(numbering.songs)
        new = numbering.number(newer, gap_s)
        songs = Vocabulary(numbering.songs.song_ids)
        old = numbering.number(older, gap_s)
        old = old.translate(_kept(len(numbering.songs), known))
        begin = old.sessions.offsets[-1] - len(new.sessions.values)
        first = int(np.searchsorted(old.sessions.offsets, begin))
        return cls(new, old.slice(first, len(old)), songs)

    @property
    def both(self) -> SessionLog:
        """The old sessions, then the new ones."""
        return self.old.joined(self.new)


def parted_at_training(bundle: Bundle, log: PlayLog) -> tuple[PlayLog, PlayLog]:
    """Part a log where a bundle's training ended; TrainingError where nothing is newer."""
    older, newer = log.split_at(int(bundle.manifest.training.get("to_ms") or 0))
    if newer.plays.is_empty():
        raise TrainingError(f"{log.format} log: no play is newer than {bundle.manifest.version}")
    return older, newer


def continued_training(bundle: Bundle, newer: PlayLog, songs: Vocabulary) -> dict[str, Any]:
    """Give what the next bundle says of its training."""
    told = bundle.manifest.training
    return {
        **told,
        "plays": int(told.get("plays") or 0) + newer.plays.height,
        "songs": len(songs),
        "to_ms": newer.plays["played_at_ms"].max(),
        "continued_from": bundle.manifest.version,
    }


def _kept(songs: int, known: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give each number itself, and those above `known` 0."""
    numbers = np.arange(songs + 1)
    numbers[known + 1 :] = 0
    return numbers
