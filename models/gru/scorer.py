"""The GRU as a next-song model: every song of its vocabulary scored at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor

from segue.models.bundles.bundle import Bundle
from segue.models.data.batching import ListenerBatch, pad_listeners
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.gru.network import GRU, gru_from_bundle
from segue.models.gru.repeat_head import PlayHistory


class GRUNextSong:
    """Scores are logarithms of probabilities; without a known song, those of popularity."""

    def __init__(self, model: GRU, vocabulary: Vocabulary, popularity: Tensor) -> None:
        """Accept a trained network; popularity: play counts in training, float32 [V + 1]."""
        self.model = model.eval()
        self.vocabulary = vocabulary
        self._vectors = model.item_vectors()
        self._popularity = (popularity / popularity.sum()).log()

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> GRUNextSong:
        """Build it from a verified bundle of kind "gru"."""
        return cls(gru_from_bundle(bundle), bundle.vocabulary, bundle.weights["popularity"])

    def song_vectors(self) -> Tensor:
        """Return every song's vector of length 1, float32 [V + 1, dim]; row 0 is zeros."""
        return self._vectors

    @torch.inference_mode()
    def scores(self, contexts: Contexts) -> Tensor:
        """Return every song's log-probability for each context, float32 [B, V + 1].

        A session of which no song is known is taken up where the listener's history ends.
        """
        scores = self._popularity.repeat(len(contexts), 1)
        plays = contexts.histories.joined(contexts.sessions)
        rows = plays.lengths.nonzero()[0]
        if len(rows):
            config = self.model.config
            in_session = contexts.sessions.lengths[rows]
            batch = pad_listeners(
                plays.take(rows), in_session, config.max_length, config.max_history
            )
            scores[rows] = self._log_probabilities(batch)
        return scores

    def _log_probabilities(self, batch: ListenerBatch) -> Tensor:
        """Return log P(next = i) for each listener, float32 [count, V + 1], -inf for padding."""
        items, lengths = batch.sessions.items, batch.sessions.lengths
        states = self.model.states(items, lengths)
        history = PlayHistory.after(batch)
        vectors = self.model.songs(history.sources)
        gate, sources = self.model.heard(states.unsqueeze(1), vectors, history)
        new = self.model.queries(states) @ self._vectors.T  # [B, V + 1]
        was_heard = torch.zeros_like(new, dtype=torch.bool)
        was_heard.scatter_(1, history.sources, value=True)
        new.masked_fill_(was_heard, -torch.inf)[:, PADDING] = -torch.inf
        shares = torch.zeros_like(new).scatter_add_(1, history.sources, sources[:, 0].softmax(1))
        again = shares.log_() + F.logsigmoid(gate)
        scores = torch.where(was_heard, again, new.log_softmax(1) + F.logsigmoid(-gate))
        scores[:, PADDING] = -torch.inf
        return scores[: batch.count]
