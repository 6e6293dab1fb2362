"""Probabilities from models' scores: songs played before by a gate, new ones by the models.

    P(i | context) = gate(i)                                       of a song that was played,
                     (1 - sum of the gate) exp(u_i) / (1 + sum over j of exp(u_j))   of a new one

with, for each new song that any of the models m scores,

    u_i = a + b log(1 + plays_i) + sum over the models m that score i of c_m + d_m log score_m(i)

whose weights are learned from next songs that the models had not seen; the 1 stands for all
songs that no model scores. So repeats and new songs of all models are ranked by one probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segue.models.data.sessions import Contexts
from segue.models.neighborhood.conditional_logit import fit_choice
from segue.models.neighborhood.repeat_gate import RepeatGate
from segue.models.neighborhood.score_union import ScoreUnion, positions_of, unite_scores
from segue.models.ops.fast_math import exp32, to_logs, to_powers
from segue.models.ops.jit import Scratch, compiled
from segue.models.retrieval.sparse_scores import SMALLEST, SparseNextSong, SparseScores

MOST_TO_LEARN = 4_000
"""Contexts that the weights are learned from: a handful of numbers needs no more."""


@dataclass(frozen=True)
class NewSongs:
    """Turns models' scores of new songs into probabilities.

    weights: float64 [2 + 2 M]: a, b, and c and d of each model. log_plays: float32 [V + 1],
    log(1 + plays).
    """

    weights: NDArray[np.float64]
    log_plays: NDArray[np.float32]

    @classmethod
    def fit(cls, union: ScoreUnion, answers: NDArray[np.int64], plays: NDArray[np.float32]) -> Self:
        """Learn from models' scores and the new songs that came next, int64 [B].

        plays: float32 [V + 1]. Of contexts whose next song was new. Where there are none,
        probabilities follow the first model's scores.
        """
        log_plays = np.log1p(plays)
        prior = np.zeros(2 + 2 * union.scores.shape[1])
        prior[3] = 1.0
        chosen = positions_of(answers, union.items, union.offsets)
        features = blend_features(union, log_plays)
        weights = fit_choice(features, union.offsets, chosen[chosen >= 0], prior)
        return cls(weights, log_plays)

    def blended(
        self, models: Sequence[SparseScores], played: SparseScores, slots: NDArray[np.int32]
    ) -> SparseScores:
        """Return the probabilities of played songs, and the rest divided among new ones.

        models: the scores of each; played: the songs played with their probabilities, which come
        first in each context. slots: int32 [V + 1], all 0 before and after.
        """
        return SparseScores(
            *_blended(
                tuple(each.items for each in models),
                tuple(each.scores for each in models),
                tuple(each.offsets for each in models),
                (played.items, played.scores, played.offsets),
                self.weights,
                self.log_plays,
                slots,
            )
        )


def blend_features(union: ScoreUnion, log_plays: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each song's utility is the weighted sum of, float32 [N, 2 + 2 M]."""
    features = np.ones((len(union.items), 2 + 2 * union.scores.shape[1]), np.float32)
    features[:, 1] = log_plays[union.items]
    features[:, 2::2] = by_whom = union.scores > 0
    features[:, 3::2] = np.log(np.where(by_whom, union.scores, 1))
    return features


class GatedNextSong(SparseNextSong):
    """Sparse models blended into one, behind a repeat gate."""

    def __init__(
        self, models: Sequence[SparseNextSong], gate: RepeatGate, new_songs: NewSongs
    ) -> None:
        """models: of one vocabulary, as they are behind the gate."""
        super().__init__(models[0].vocabulary, models[0].popularity)
        self._slots = Scratch(len(models[0].vocabulary) + 1, np.int32)
        self.models = models
        self.gate = gate
        self.new_songs = new_songs

    @classmethod
    def fit(
        cls,
        final: Sequence[SparseNextSong],
        earlier: Sequence[SparseNextSong],
        contexts: Contexts,
        answers: NDArray[np.int64],
    ) -> Self:
        """Learn the gate, and the weights of new songs' scores.

        final: the models behind the gate. earlier: the same, fitted without what came after
        `contexts`; answers: int64 [B], the songs that did, 0 if unknown.
        """
        songs = len(final[0].vocabulary)
        gate = RepeatGate.fit(contexts, answers)
        played = gate.probabilities(contexts)
        again = positions_of(answers, played.items, played.offsets) >= 0
        # Songs without plays by then could not be scored.
        new = (~again & (earlier[0].popularity[answers] > 0)).nonzero()[0]
        new = new[:: len(new) // MOST_TO_LEARN + 1]
        then = contexts.take(new)
        union = unite_scores(
            [model.sparse_scores(then) for model in earlier], played.take(new), songs
        )
        learned = NewSongs.fit(union, answers[new], earlier[0].popularity)
        return cls(final, gate, replace(learned, log_plays=np.log1p(final[0].popularity)))

    def sparse_scores(self, contexts: Contexts) -> SparseScores:
        """Return the probabilities of played songs, and of new ones that the models score."""
        return self.blended(contexts, [model.sparse_scores(contexts) for model in self.models])

    def blended(self, contexts: Contexts, scores: Sequence[SparseScores]) -> SparseScores:
        """Return the same from the models' scores, in their order."""
        played = self.gate.probabilities(contexts)
        return self.new_songs.blended(scores, played, self._slots.array)


@compiled
def _blended(
    items: tuple[NDArray[np.int64], ...],
    scores: tuple[NDArray[np.float32], ...],
    offsets: tuple[NDArray[np.int64], ...],
    played: tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]],
    weights: NDArray[np.float64],
    log_plays: NDArray[np.float32],
    slots: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Add up each new song's utility over the models that score it, and divide what is left."""
    played_items, played_scores, played_offsets = played
    most = len(played_items)
    for model in range(len(items)):
        most += len(items[model])
    found, chances = np.empty(most, np.int64), np.empty(most, np.float32)
    utilities = np.empty(most, np.float32)
    logs = np.empty(most, np.float32)
    constant, by_plays = np.float32(weights[0]), np.float32(weights[1])
    begins = np.zeros(len(played_offsets), np.int64)
    used = 0
    for row in range(len(begins) - 1):
        left_over, greatest = 1.0, np.float32(0)
        for entry in range(played_offsets[row], played_offsets[row + 1]):
            found[used], chances[used] = played_items[entry], max(played_scores[entry], SMALLEST)
            slots[found[used]] = -1
            left_over -= played_scores[entry]
            used += 1
        first = used
        for model in range(len(items)):
            intercept = np.float32(weights[2 + 2 * model])
            power = np.float32(weights[3 + 2 * model])
            begin, end = offsets[model][row], offsets[model][row + 1]
            # Of one context at a time, so that rounding does not depend on the batch.
            logs[: end - begin] = scores[model][begin:end]
            to_logs(logs[: end - begin])
            for place in range(begin, end):
                item = items[model][place]
                if slots[item] < 0:
                    continue
                if slots[item] == 0:
                    found[used] = item
                    utilities[used] = constant + by_plays * log_plays[item]
                    used += 1
                    slots[item] = used - first
                utilities[first + slots[item] - 1] += intercept + power * logs[place - begin]
        # None of them has utility 0, so that the greatest is never less.
        for slot in range(first, used):
            greatest = max(greatest, utilities[slot])
        total = np.float64(exp32(-greatest))
        utilities[first:used] -= greatest
        to_powers(utilities[first:used])
        for slot in range(first, used):
            total += utilities[slot]
        share = left_over / total
        for slot in range(first, used):
            chances[slot] = max(utilities[slot] * share, SMALLEST)
        slots[found[begins[row] : used]] = 0
        begins[row + 1] = used
    return found[:used].copy(), chances[:used].copy(), begins
