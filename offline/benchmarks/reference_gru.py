"""The simplest loop that trains a recurrent next-song network, to be measured beside ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from segue.models.data.ragged import Ragged
from segue.models.data.vocabulary import PADDING

LEARNING_RATE = 2e-3


class PlainGRU(nn.Module):
    """An embedding, a GRU, and the softmax over all songs through that same embedding."""

    def __init__(self, songs: int, dim: int) -> None:
        super().__init__()
        self.songs = nn.Embedding(songs + 1, dim, padding_idx=PADDING)
        self.recurrence = nn.GRU(dim, dim, batch_first=True)

    def scores(self, items: Tensor) -> Tensor:
        """Return the state after each play of `items`, int64 [B, T], times each song's vector.

        Of plays that are padding there is none: float32 [plays, V + 1].
        """
        states, _ = self.recurrence(self.songs(items))
        return F.linear(states[items != PADDING], self.songs.weight)

    def loss(self, items: Tensor) -> Tensor:
        """Return the mean cross-entropy of every next song; items: int64 [B, T], right-padded."""
        answers = items[:, 1:]
        heard = items[:, :-1].masked_fill(answers == PADDING, PADDING)  # a last play has none
        # Only of real answers, as scores of padding would cost it several times its memory.
        return F.cross_entropy(self.scores(heard), answers[answers != PADDING])


class PlainLoop:
    """Trains a PlainGRU by Adam on sessions drawn as they come, padded to the longest.

    sessions: of at least two plays each. seed: of the weights and of the order.
    """

    def __init__(
        self, sessions: Ragged, songs: int, dim: int, batch_sessions: int, seed: int
    ) -> None:
        self.sessions = [torch.from_numpy(session) for session in sessions]
        self.batch_sessions = batch_sessions
        self.generator = torch.Generator().manual_seed(seed)
        self.model = PlainGRU(songs, dim)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.normal_(0.0, 0.1, generator=self.generator)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)

    def plays_per_s(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
        """Train for `seconds` and the step that is on, or an epoch; give next songs a second."""
        began, plays = clock(), 0
        for items in self.batches():
            self.step(items)
            plays += int((items[:, 1:] != PADDING).sum())
            if clock() - began >= seconds:
                break
        return plays / (clock() - began)

    def batches(self) -> Iterator[Tensor]:
        """Return every session once, int64 [B, T], right-padded with 0."""
        order = torch.randperm(len(self.sessions), generator=self.generator)
        for rows in torch.split(order, self.batch_sessions):
            chosen = [self.sessions[row] for row in rows.tolist()]
            yield pad_sequence(chosen, batch_first=True, padding_value=PADDING)

    def step(self, items: Tensor) -> float:
        """Learn from one batch; give its loss before that."""
        self.optimiser.zero_grad()
        loss = self.model.loss(items)
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.item()
