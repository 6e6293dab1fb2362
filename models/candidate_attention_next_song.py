"""Candidate attention as a next-song model, and as a re-ranker that gives its reasons."""

from __future__ import annotations

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bundle import Bundle, fitting_parts, network_weights
from models.candidate_attention import CandidateAttention, CandidateAttentionConfig
from models.next_song import Contexts
from models.places import place_songs
from models.vocabulary import Vocabulary


class CandidateAttentionNextSong:
    """Scores by recent songs and the listener's past; what is popular where there are none."""

    def __init__(self, model: CandidateAttention, vocabulary: Vocabulary) -> None:
        self.model = model
        self.vocabulary = vocabulary

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> CandidateAttentionNextSong:
        """Build it from a verified bundle of kind "amnn"."""
        return cls(candidate_attention_from_bundle(bundle), bundle.vocabulary)

    def song_vectors(self) -> Tensor:
        """Give the vectors of songs as candidates, float32 [V + 1, D], of any length."""
        return self.model.asked.weight.detach()

    @torch.inference_mode()
    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        return self.model.all_scores(torch.from_numpy(self.places(contexts)))

    def places(self, contexts: Contexts) -> NDArray[np.int64]:
        """Give the songs that are looked at, int64 [B, K], as `place_songs` does."""
        config = self.model.config
        return place_songs(contexts, config.recent, config.past).numpy()


def candidate_attention_from_bundle(bundle: Bundle) -> CandidateAttention:
    """Build the network of a bundle, ready to serve; BundleError where its parts do not fit."""
    with fitting_parts(bundle):
        config = msgspec.convert(bundle.manifest.config, CandidateAttentionConfig)
        model = CandidateAttention(config, len(bundle.vocabulary))
        model.load_state_dict(network_weights(bundle))
    return model.eval()
