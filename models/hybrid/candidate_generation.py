"""Candidate generation: every retriever's candidates, united, with their features."""

from __future__ import annotations

import torch

from segue.models.attention.inference import AttentionTables
from segue.models.data.sessions import Contexts
from segue.models.hybrid.feature_extraction import FeatureExtractor
from segue.models.hybrid.parts import HybridParts
from segue.models.hybrid.retrievers import build_retrievers, limit_of
from segue.models.ranking.inputs import RankingInputs
from segue.models.ranking.schema import FeatureSchema
from segue.models.retrieval.candidates import Candidates
from segue.models.retrieval.retriever import ContextBatch


class CandidateGenerator:
    """Generates the ranker's inputs for listeners with a known song in session or history."""

    def __init__(self, parts: HybridParts) -> None:
        """KeyError where the config names a retriever or feature that is not registered."""
        self.parts = parts
        self.retrievers = build_retrievers(parts)
        self.limits = [limit_of(each.name, parts.config) for each in self.retrievers]
        self.schema = FeatureSchema.of(self.retrievers, parts.config.features)
        self.attention = AttentionTables.of(parts.amnn.model)
        self._features = FeatureExtractor(
            parts, self.schema, self.attention, limit_of("gru", parts.config)
        )

    @torch.no_grad()
    def generate(self, contexts: Contexts) -> RankingInputs:
        """Retrieve candidates and extract their features."""
        batch = ContextBatch(contexts)
        lists = [
            retriever.retrieve(batch, limit)
            for retriever, limit in zip(self.retrievers, self.limits, strict=True)
        ]
        return self._features.extract(batch, Candidates.of(lists))
