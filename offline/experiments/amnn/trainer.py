"""Training of a collaborative network on a fold: negatives drawn anew each epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.collaborative.base import CollaborativeNetwork
from segue.models.collaborative.interactions import Interactions, PlayedPairs
from segue.models.collaborative.linear import CollaborativeScorer
from segue.models.data.vocabulary import PADDING
from segue.models.metrics import ranks_among
from segue.offline.experiments.amnn.protocol import Fold
from segue.offline.metrics.ranking import ndcg
from segue.offline.training.trainer import Learner, Metrics, train

MAX_EPOCHS = 30
PATIENCE = 5
LIST_LENGTH = 10
# Listeners whose candidates are scored together.
ROWS = 1024


class NetworkScorer:
    """A fitted network with the histories it looks at, as a CollaborativeScorer."""

    def __init__(
        self, network: CollaborativeNetwork, interactions: Interactions, device: torch.device
    ) -> None:
        self.network = network
        self._device = device
        histories = interactions.most_played(network.config.history)
        self._histories = torch.from_numpy(histories).to(device)

    @torch.inference_mode()
    def scores(self, users: NDArray[np.int64], songs: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score songs; none of a row's may be among what its listener trained on."""
        found = np.empty(songs.shape, dtype=np.float32)
        for start in range(0, len(users), ROWS):
            rows = slice(start, start + ROWS)
            listeners = torch.from_numpy(users[rows]).to(self._device)
            asked = torch.from_numpy(songs[rows]).to(self._device)
            scored = self.network.logits(listeners, self._histories[listeners], asked)
            found[rows] = scored.cpu().numpy()
        return found


def candidate_ranks(
    scorer: CollaborativeScorer, training: Interactions, candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the rank of each listener's played song among the unplayed ones, int64 [U].

    candidates: item numbers, int64 [U, C], the played song first. Songs that nobody played in
    training rank last, whatever their score: that would be luck.
    """
    scores = scorer.scores(np.arange(len(candidates)), candidates)
    known = training.listeners_of()[candidates] > 0
    scores = np.where(known, scores, -np.inf).astype(np.float32)
    return ranks_among(scores, scores[:, 0])


def validation_ndcg(scorer: CollaborativeScorer, fold: Fold) -> float:
    """Return NDCG@10 of the validation songs among their unheard ones."""
    return ndcg(candidate_ranks(scorer, fold.training, fold.validation), LIST_LENGTH)


def fit_network(
    network: CollaborativeNetwork,
    fold: Fold,
    seed: int,
    device: torch.device,
) -> NetworkScorer:
    """Fit until NDCG@10 on validation is no better for PATIENCE epochs; keep the best epoch.

    The same seed gives the same network on the same device. TrainingError where the loss
    diverges.
    """
    network.initialise(torch.Generator().manual_seed(seed))
    scorer = NetworkScorer(network, fold.training, device)

    def validate(trained: CollaborativeNetwork) -> Metrics:
        scorer.network = trained.to(device)
        return {"ndcg_at_10": validation_ndcg(scorer, fold)}

    trained = train(
        TasteLearner(network.to(device), fold.training, seed, device),
        epochs=MAX_EPOCHS,
        patience=PATIENCE,
        validate=validate,
        merit=lambda metrics: metrics["ndcg_at_10"],
    )
    scorer.network = trained.network.to(device)
    return scorer


class TasteLearner(Learner[CollaborativeNetwork]):
    """A network in training: played songs beside unplayed ones, in random order."""

    def __init__(
        self,
        network: CollaborativeNetwork,
        interactions: Interactions,
        seed: int,
        device: torch.device,
    ) -> None:
        config = network.config
        self.network = network
        self.optimisers = (
            torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True),
        )
        self.examples = len(interactions.songs.values)
        self._config = config
        self._users = interactions.songs.row_numbers()
        self._songs = interactions.songs.values
        self._heard = PlayedPairs(interactions)
        self._rng = np.random.default_rng(seed)
        self._dropout = torch.Generator(device).manual_seed(seed)
        self._device = device
        # One more than is attended to: the song asked for is taken out.
        self._most_played = interactions.most_played(config.history + 1)

    def batches(self) -> Iterator[tuple[tuple[Tensor, Tensor, Tensor], int]]:
        """Yield users [B], histories [B, K + 1] and songs [B, 1 + N], every played song once."""
        order = self._rng.permutation(len(self._songs))
        for start in range(0, len(order), self._config.batch):
            rows = order[start : start + self._config.batch]
            users, heard = self._users[rows], self._songs[rows]
            # The same few rounds for all: a listener who knows nearly all songs learns less.
            unheard = self._heard.draw_unheard(users, self._config.negatives, self._rng, rounds=5)
            arrays = users, histories_without(self._most_played[users], heard), unheard
            listeners, histories, others = (self._tensor(array) for array in arrays)
            songs = torch.cat([self._tensor(heard)[:, None], others], 1)
            yield (listeners, histories, songs), len(rows)

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Compute the network's own loss."""
        return self.network.loss(*batch, self._dropout)

    def _tensor(self, array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def histories_without(
    most_played: NDArray[np.int64], songs: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Accept each row's song out of its history, or else the last one, int64 [B, K + 1].

    Nobody could say whether a song belongs to a listener if it stood in the very history that
    is looked at; so in training, as in the test, the other songs must tell.

    >>> histories_without(np.array([[4, 7, 9], [4, 7, 9]]), np.array([7, 8])).tolist()
    [[4, 0, 9], [4, 7, 0]]
    """
    found = most_played.copy()
    itself = found == songs[:, None]
    found[itself] = PADDING
    found[~itself.any(1), -1] = PADDING
    return found
