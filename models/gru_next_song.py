"""The GRU as a next-song model: every song of its vocabulary scored at once."""

from __future__ import annotations

import torch
from torch import Tensor

from models.bundle import Bundle
from models.gru import GRU, gru_from_bundle
from models.next_song import Contexts
from models.sessions import pad_sessions
from models.vocabulary import Vocabulary


class GRUNextSong:
    """Scores by the network; of empty sessions it can say nothing."""

    def __init__(self, model: GRU, vocabulary: Vocabulary) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self._vectors = model.item_vectors().T

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> GRUNextSong:
        """Build it from a verified bundle of kind "gru"."""
        return cls(gru_from_bundle(bundle), bundle.vocabulary)

    @torch.inference_mode()
    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        scores = torch.full((len(contexts), len(self.vocabulary) + 1), -torch.inf)
        rows = contexts.sessions.lengths.nonzero()[0]
        if len(rows):
            sessions = [session.tolist() for session in contexts.sessions.take(rows)]
            batch = pad_sessions(sessions, self.model.config.max_length)
            scores[rows] = self.model.encode(batch.items, batch.lengths) @ self._vectors
        return scores

    def song_vectors(self) -> Tensor:
        """Give each song's vector, float32 [V + 1, D]."""
        return self._vectors.T
