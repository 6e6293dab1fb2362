"""Models that any other should beat, fitted when they are needed: no bundles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.next_song import Contexts, NextSongModel, SessionLog
from models.vocabulary import Vocabulary


@dataclass(frozen=True)
class Baseline:
    """How to make one: `fit` takes sessions, their songs and one of `configs`.

    configs: the first is the default; where there are several, validation chooses.
    """

    name: str
    description: str
    fit: Callable[[SessionLog, Vocabulary, Any], NextSongModel]
    configs: Sequence[Any]


@dataclass(frozen=True)
class PopularityConfig:
    """Nothing to choose: every play counts alike."""


class PlayCounts:
    """Scores each song by its plays, whatever the context."""

    def __init__(self, vocabulary: Vocabulary, counts: Tensor) -> None:
        """Take counts, float32 [V + 1]."""
        self.vocabulary = vocabulary
        self._counts = counts

    @classmethod
    def fit(cls, sessions: SessionLog, songs: Vocabulary, config: PopularityConfig) -> PlayCounts:
        """Count the plays."""
        return cls(songs, torch.from_numpy(sessions.play_counts(songs)))

    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        return self._counts.expand(len(contexts), -1)


BASELINES: Mapping[str, Baseline] = {
    "popularity": Baseline(
        "popularity", "the most played songs", PlayCounts.fit, (PopularityConfig(),)
    )
}


def choose_config(
    baseline: Baseline, sessions: SessionLog, vocabulary: Vocabulary, seed: int
) -> Any:
    """Give the config to use."""
    return baseline.configs[0]
