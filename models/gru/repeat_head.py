"""The repeat head: whether the next song was played before, and which of those songs it is.

Music is replayed, and a replay is decided by other things than the choice of a new song: by
how long ago a song was, by whether this listener repeats at all. So the songs that a listener
has played are a class of their own (as in RepeatNet, Ren et al., 2019):

    P(next = i) = P(repeat) P(i | repeat)       for songs of the session or the listener's history
                  (1 - P(repeat)) P(i | new)   for every other song

The classes share no song, so each factor is learned by a cross-entropy of its own, and their
sum is the cross-entropy of the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn

from segue.models.data.batching import SUM_BLOCK, ListenerBatch
from segue.models.data.vocabulary import PADDING

NEVER = torch.finfo(torch.float32).min
"""A logit whose share is 0. Not -inf, as a softmax over nothing else must stay a number."""
PLACES = 64
"""Distances in plays that differ; all beyond count as the last."""
FEATURES = 7


@dataclass(frozen=True)
class PlayHistory:
    """What was played before each of Q positions of B sessions.

    sources: int64 [B, S], the history's H songs (left-padded with 0), then the session's.
    history: H. ends: int64 [B, Q], the positions: the session's last play so far, from 0.
    """

    sources: Tensor
    history: int
    ends: Tensor

    @classmethod
    def after(cls, batch: ListenerBatch) -> PlayHistory:
        """Return all plays of the listeners of a batch; the one position is the last."""
        width = batch.histories.shape[1] + batch.sessions.items.shape[1]
        histories = F.pad(batch.histories, (-width % SUM_BLOCK, 0), value=PADDING)
        sources = torch.cat([histories, batch.sessions.items], 1)
        return cls(sources, histories.shape[1], (batch.sessions.lengths - 1).unsqueeze(1))

    @property
    def visible(self) -> Tensor:
        """Return which sources were played by each position, bool [B, Q, S]."""
        place = torch.arange(self.sources.shape[1], device=self.sources.device)
        known = (self.sources != PADDING).unsqueeze(1)
        return (place <= self.ends.unsqueeze(2) + self.history) & known

    @property
    def ago(self) -> Tensor:
        """Return how many plays of the session lie between a position and each source, [B, Q, S].

        Of history, how many plays of it lie between the source and its end.
        """
        width = self.sources.shape[1]
        place = torch.arange(width, device=self.sources.device)
        in_session = self.ends.unsqueeze(2) + self.history - place
        in_history = (self.history - 1 - place).expand_as(in_session)
        distance = torch.where(place < self.history, in_history, in_session)
        return distance.clamp_(0, PLACES - 1)

    def features(self) -> Tensor:
        """Describe how the listener has repeated songs so far, float32 [B, Q, FEATURES].

        Plays of the session; the share of them that were repeats, whether any was, and
        whether the last one was; the share found in the history, its length, whether there is
        one.
        """
        session = self.sources[:, self.history :]
        earlier = self.sources.unsqueeze(1) == session.unsqueeze(2)  # [B, T, S]
        steps = session.shape[1]
        device = session.device
        before = torch.arange(self.sources.shape[1], device=device) < (
            torch.arange(steps, device=device).unsqueeze(1) + self.history
        )
        earlier &= before & (session != PADDING).unsqueeze(2)
        repeats = earlier.any(2).float()
        known = earlier[:, :, : self.history].any(2).float()
        plays = self.ends + 1.0
        count = repeats.cumsum(1).gather(1, self.ends)
        length = (self.sources[:, : self.history] != PADDING).sum(1, keepdim=True).float()
        return torch.stack(
            [
                plays.log(),
                count / plays,
                (count > 0).float(),
                repeats.gather(1, self.ends),
                known.cumsum(1).gather(1, self.ends) / plays,
                length.log1p().expand_as(plays),
                (length > 0).float().expand_as(plays),
            ],
            dim=2,
        )


class RepeatHead(nn.Module):
    """From a session's state to P(repeat) and P(i | repeat)."""

    def __init__(self, dim: int, hidden: int, width: int = 32) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(hidden + FEATURES, width), nn.ReLU(), nn.Linear(width, 1)
        )
        self.query = nn.Linear(hidden, dim)
        self.session_ago = nn.Parameter(torch.empty(PLACES))
        self.history_ago = nn.Parameter(torch.empty(PLACES))

    def forward(
        self, states: Tensor, vectors: Tensor, history: PlayHistory
    ) -> tuple[Tensor, Tensor]:
        """Return the logit of P(repeat), float32 [B, Q], and of each source, float32 [B, Q, S].

        states: float32 [B, Q, hidden]; vectors: of the sources, float32 [B, S, dim]. A song's
        share is the sum over its sources' softmax, so that a song played twice counts twice.
        Sources after a position get NEVER.
        """
        gate = self.gate(torch.cat([states, history.features()], dim=2)).squeeze(2)
        query = self.query(states) / math.sqrt(vectors.shape[2])
        if query.shape[1] == 1:
            # Summed song by song, so that a row's bits do not depend on other rows' lengths.
            likeness = (vectors * query).sum(2).unsqueeze(1)
        else:
            likeness = query @ vectors.transpose(1, 2)
        place = torch.arange(vectors.shape[1], device=vectors.device)
        ago = history.ago
        tables = torch.where(place < history.history, self.history_ago[ago], self.session_ago[ago])
        return gate, (likeness + tables).masked_fill(~history.visible, NEVER)

    def loss(
        self, states: Tensor, vectors: Tensor, history: PlayHistory, answers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of "repeat or new" and of "which repeat", summed.

        answers: int64 [B, Q], 0 for none. Also tells which answers are new, bool [B, Q].
        """
        real = answers != PADDING
        gate, sources = self(states, vectors, history)
        right = (history.sources.unsqueeze(1) == answers.unsqueeze(2)) & history.visible
        again = right.any(2) & real
        total = F.binary_cross_entropy_with_logits(gate[real], again[real].float(), reduction="sum")
        shares, right = sources[again], right[again]
        which = shares.logsumexp(1) - shares.masked_fill(~right, NEVER).logsumexp(1)
        return total + which.sum(), real & ~again
