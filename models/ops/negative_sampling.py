"""Which songs the softmax sums over in training, and what each of them stands for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from segue.models.data.vocabulary import PADDING


@dataclass(frozen=True)
class Negatives:
    """Songs shared by every prediction of a batch.

    items: int64 [K], ascending, each once. log_weights: float32 [K], the logarithm of how many
    songs each stands for, so that the weighted sum over `items` estimates that over all songs.
    """

    items: Tensor
    log_weights: Tensor

    def columns(self, songs: Tensor) -> Tensor:
        """Return the column of each song in `items`, -1 if it was not drawn; shaped as `songs`."""
        columns = torch.searchsorted(self.items, songs).clamp_(max=len(self.items) - 1)
        return columns.masked_fill_(self.items[columns] != songs, -1)

    def find(self, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the places (rows of `answers`, columns of `items`) where an answer was drawn."""
        columns = self.columns(answers)
        rows = (columns >= 0).nonzero().squeeze(1)
        return rows, columns[rows]

    def to(self, device: torch.device) -> Negatives:
        """Return the same on another device."""
        return Negatives(self.items.to(device), self.log_weights.to(device))


class NegativeSampler:
    """Draws songs by the power of their play counts, with replacement.

    Up to `full_softmax_songs` songs there is no chance in it: all of them are given, each
    standing for itself.
    """

    def __init__(
        self, popularity: Tensor, draws: int, power: float, full_softmax_songs: int
    ) -> None:
        """Accept play counts, float32 [V + 1], all but the padding's > 0."""
        songs = len(popularity) - 1
        self.draws = draws
        self._all: Negatives | None = None
        if songs <= full_softmax_songs:
            self._all = Negatives(torch.arange(1, songs + 1), torch.zeros(songs))
        weights = popularity.double() ** power
        weights[PADDING] = 0.0
        self._probability = weights / weights.sum()
        self._cumulative = self._probability.cumsum(0)

    def draw(self, generator: torch.Generator) -> Negatives:
        """Draw anew."""
        if self._all is not None:
            return self._all
        points = torch.rand(self.draws, generator=generator, dtype=torch.float64)
        drawn = torch.searchsorted(self._cumulative, points * self._cumulative[-1], right=True)
        # A song drawn twice is one column that weighs double.
        counts = drawn.bincount()
        items = counts.nonzero().squeeze(1)
        stands_for = counts[items] / (self.draws * self._probability[items])
        return Negatives(items, stands_for.log().float())
