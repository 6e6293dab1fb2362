"""Probabilities from a model's scores: songs heard before by a gate, new ones by the model.

    P(i | context) = gate(i)                                     of a song that was heard,
                     (1 - sum of the gate) * exp(u_i) / (1 + sum over j of exp(u_j))   of a new one

with u_i = a + b log score_i + c log(1 + plays_i) for each new song that the model names, the
weights learned from next songs that it had not seen; the 1 stands for all that it does not
name. So both kinds stand in one list by their chances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.choice import fit_choice, probabilities
from models.next_song import Contexts
from models.repeat_gate import RepeatGate
from models.sparse_scores import SMALLEST, SparseNextSong, SparseScores
from models.sparse_sets import merged, places_of, without

PRIOR = np.array([0.0, 1.0, 0.0])
"""Chances in proportion to scores, where there is nothing to learn from."""
MOST_TO_LEARN = 4_000
"""Contexts that teach what scores mean: three numbers need no more."""


@dataclass(frozen=True)
class NewSongs:
    """Turns a model's scores of new songs into probabilities.

    weights: float64 [3], a, b and c. log_plays: float32 [V + 1].
    """

    weights: NDArray[np.float64]
    log_plays: NDArray[np.float32]

    @classmethod
    def fit(
        cls, named: SparseScores, answers: NDArray[np.int64], plays: NDArray[np.float32]
    ) -> Self:
        """Learn from what a model names and which new songs came next, int64 [B].

        plays: float32 [V + 1]. A context whose next song was not new does not belong here.
        """
        unfitted = cls(np.zeros(3), np.log1p(plays))
        chosen = places_of(answers, named.items, named.offsets)
        features = unfitted._features(named)
        weights = fit_choice(features, named.offsets, chosen[chosen >= 0], PRIOR)
        return cls(weights, unfitted.log_plays)

    def probabilities(self, named: SparseScores) -> NDArray[np.float32]:
        """Give the chance of each song named, if a new one comes next; float32 [N]."""
        likely = probabilities(self._features(named), named.offsets, self.weights)
        return likely.astype(np.float32)

    def _features(self, named: SparseScores) -> NDArray[np.float32]:
        ones = np.ones(len(named.items), np.float32)
        return np.stack([ones, np.log(named.scores), self.log_plays[named.items]], 1)


class GatedNextSong(SparseNextSong):
    """A sparse model whose songs heard before are judged by a repeat gate."""

    def __init__(self, model: SparseNextSong, gate: RepeatGate, new_songs: NewSongs) -> None:
        super().__init__(model.vocabulary, model.popularity)
        self.model = model
        self.gate = gate
        self.new_songs = new_songs

    @classmethod
    def fit(
        cls,
        final: SparseNextSong,
        earlier: SparseNextSong,
        contexts: Contexts,
        answers: NDArray[np.int64],
    ) -> Self:
        """Learn the gate, and what new songs' scores mean.

        final: the model to stand behind the gate. earlier: one like it, fitted without what
        came after `contexts`; answers: int64 [B], the songs that did, 0 if unknown.
        """
        gate = RepeatGate.fit(contexts, answers, len(final.vocabulary))
        heard = gate.probabilities(contexts)
        # Songs that nobody had played by then are no fault of the model's scores.
        new = (places_of(answers, heard.items, heard.offsets) < 0) & (
            earlier.popularity[answers] > 0
        )
        learned = new.nonzero()[0]
        learned = learned[:: len(learned) // MOST_TO_LEARN + 1]
        named = earlier.named(contexts.take(learned))
        named = without(named, heard.take(learned), len(final.vocabulary))
        return cls(final, gate, NewSongs.fit(named, answers[learned], final.popularity))

    def named(self, contexts: Contexts) -> SparseScores:
        """Give songs heard, and new ones that the model names, their probabilities."""
        heard = self.gate.probabilities(contexts)
        new = without(self.model.named(contexts), heard, len(self.vocabulary))
        left_over = np.ones(len(contexts), np.float32)
        np.subtract.at(left_over, heard.rows(), heard.scores)
        likely = self.new_songs.probabilities(new) * left_over[new.rows()]
        both = merged(heard, SparseScores(new.items, likely, new.offsets))
        return SparseScores(both.items, np.maximum(both.scores, SMALLEST), both.offsets)
