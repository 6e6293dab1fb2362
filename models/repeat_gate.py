"""Whether the next song is one that was heard before, and which: apart from all new songs.

Repeats are a class of their own. Whoever plays an album again plays all of it, and who has
not repeated anything yet seldom begins to; what other listeners did in like sessions says
little of either. So songs that were heard get probabilities of their own, by the conditional
logit over what is known of each (models/heard_songs.py), in which new songs together are the
option "none of them". A log without repeats teaches that there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.choice import fit_choice, probabilities
from models.heard_songs import CONSTANTS, FEATURES, HeardSongs
from models.next_song import Contexts
from models.sparse_scores import SparseScores
from models.sparse_sets import places_of

PRIOR = -4.0
"""What is assumed where there is nothing to learn from: each song heard has 1 chance in 55."""


@dataclass(frozen=True)
class RepeatGate:
    """Gives songs that were heard their chance to be next.

    weights: float64 [len(FEATURES)].
    """

    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, contexts: Contexts, answers: NDArray[np.int64]) -> Self:
        """Learn from contexts and the songs that came next, int64 [B], 0 if unknown."""
        heard = HeardSongs.of(contexts)
        chosen = places_of(answers, heard.items, heard.offsets)
        prior = np.array([PRIOR if name in CONSTANTS else 0.0 for name in FEATURES])
        weights = fit_choice(heard.features(), heard.offsets, chosen[chosen >= 0], prior)
        return cls(weights)

    def probabilities(self, contexts: Contexts) -> SparseScores:
        """Give each song that was heard its probability to be the next; the rest is new songs'."""
        heard = HeardSongs.of(contexts)
        likely = probabilities(heard.features(), heard.offsets, self.weights)
        return SparseScores(heard.items, likely.astype(np.float32), heard.offsets)

    def explain(self) -> dict[str, float]:
        """Give the weight of each feature by its name."""
        return dict(zip(FEATURES, self.weights.tolist(), strict=True))
