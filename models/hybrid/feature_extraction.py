"""Feature extraction: the ranker's inputs from united candidates and the trained parts."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor

from segue.models.attention.inference import AttentionTables
from segue.models.gru.retriever import GRUSearch
from segue.models.hybrid.parts import HybridParts
from segue.models.item2vec.retriever import compared
from segue.models.neighborhood.retriever import BlendRetriever, SparseRetriever
from segue.models.online.retriever import OnlineCandidates
from segue.models.ranking.context_features import context_features
from segue.models.ranking.features import (
    LEAST_LOG_PROBABILITY,
    QueryVectors,
    RetrieverTables,
    SongTables,
    write_features,
)
from segue.models.ranking.inputs import FeatureTable, ListenerVectors, RankingInputs, begins_of
from segue.models.ranking.repeat_features import count_repeats
from segue.models.ranking.schema import FeatureSchema
from segue.models.ranking.song_features import PlayColumns
from segue.models.retrieval.candidates import Candidates
from segue.models.retrieval.profiles import ListenerProfiles
from segue.models.retrieval.retriever import ContextBatch


class FeatureExtractor:
    """Computes the features of candidates, contexts and listeners."""

    def __init__(
        self, parts: HybridParts, schema: FeatureSchema, attention: AttentionTables, gru_limit: int
    ) -> None:
        """gru_limit: songs that the GRU retrieves, whose search the features share."""
        self.parts = parts
        self.schema = schema
        self._gru_limit = gru_limit
        self._retrievers = RetrieverTables.of(schema)
        self._groups = [each.build(parts) for each in schema.groups if each.build is not None]
        self._sparse: list[SparseRetriever | BlendRetriever] = [
            *parts.blended,
            parts.blend_retriever,
        ]
        plays, recent = parts.popularity, parts.recent_popularity
        share = (plays + 1) / (plays.sum() + len(plays))
        late = (recent + 1e-3) / (recent.sum() + 1e-3 * len(recent))
        self._songs = SongTables(
            parts.gru.index.rows,
            parts.skipgram.index.rows,
            np.log(share).astype(np.float32),
            (np.log(late) - np.log(share)).astype(np.float32),
            parts.traits.tables,
            attention,
            share.astype(np.float32),
            parts.online.config.trending_plays,
        )

    def extract(self, batch: ContextBatch, candidates: Candidates) -> RankingInputs:
        """Return the ranker's inputs for the candidates of a batch."""
        parts, count = self.parts, len(batch)
        found = parts.gru.found(batch, self._gru_limit)
        online = parts.online.found(batch)
        profiles = ListenerProfiles.of(parts.online.vectors, batch.contexts)
        return RankingInputs(
            schema=self.schema,
            items=torch.from_numpy(candidates.items),
            ranks=candidates.ranks,
            table=self._table(batch, candidates, found, online, profiles),
            context_features=self._context_features(batch, found, online),
            listeners=ListenerVectors(
                state=found.states[:count],
                history=torch.from_numpy(profiles.history),
                recent=torch.from_numpy(profiles.recent),
                session=torch.from_numpy(profiles.session),
                skipgram=torch.from_numpy(parts.skipgram.profiles(batch).history),
            ),
            songs=online.songs,
            new_songs=online.new_songs(),
        )

    def _table(
        self,
        batch: ContextBatch,
        candidates: Candidates,
        found: GRUSearch,
        online: OnlineCandidates,
        profiles: ListenerProfiles,
    ) -> FeatureTable:
        begins = begins_of(candidates.items)
        rows = np.empty((begins[-1], self.schema.width), np.float32)
        plays, unknown = PlayColumns.of(batch.contexts), online.unknown_songs()
        queries = self._queries(batch, found, profiles)
        for buffer in online.queries():
            write_features(
                candidates.items,
                candidates.scores,
                candidates.ranks,
                self._retrievers,
                self._songs,
                plays,
                queries,
                unknown,
                buffer,
                begins,
                rows,
            )
        table = FeatureTable(rows, begins)
        first = len(self.schema.names) - sum(len(each.columns) for each in self.schema.groups)
        for group, compute in zip(self.schema.groups, self._groups, strict=True):
            columns = slice(first, first := first + len(group.columns))
            real = table.slots < candidates.items.shape[1]
            listeners, slots = table.listeners[real], table.slots[real]
            computed = compute(batch, candidates)[listeners, slots]
            computed[candidates.items[listeners, slots] == 0] = 0
            rows[real, columns] = computed
        return table

    def _queries(
        self, batch: ContextBatch, found: GRUSearch, profiles: ListenerProfiles
    ) -> QueryVectors:
        parts, count = self.parts, len(batch)
        by_likeness = (profiles.last, profiles.session, profiles.history, profiles.recent)
        return QueryVectors(
            np.stack([found.queries[:count].numpy(), *by_likeness], 1),
            compared(parts.skipgram.profiles(batch)),
            parts.skipgram.queries(batch)[:, None],
            parts.amnn.windows(batch.contexts),
            found.log_new[:count].numpy(),
            batch.contexts.query_times_ms(),
        )

    def _context_features(
        self, batch: ContextBatch, found: GRUSearch, online: OnlineCandidates
    ) -> Tensor:
        """Compute CONTEXT_FEATURES, float32 [B, G]."""
        contexts, count = batch.contexts, len(batch)
        plays, history = contexts.sessions.lengths, contexts.histories.lengths
        repeats, last = count_repeats(contexts.sessions.values, contexts.sessions.offsets)
        scored = [np.diff(each.scores(batch).offsets) for each in self._sparse]
        columns = [
            np.log1p(plays),
            repeats / np.maximum(plays, 1),
            last,
            np.log1p(history),
            history > 0,
            # torch.sigmoid rounds the last rows of a batch otherwise than the rest.
            F.logsigmoid(found.gate[:count]).exp_().numpy(),
            found.scores[:count].amax(1).clamp_min_(LEAST_LOG_PROBABILITY).numpy(),
            plays > 0,
            *(np.log1p(songs) for songs in (*scored, online.scored, online.plays)),
        ]
        stacked = np.stack([column.astype(np.float32) for column in columns], 1)
        return torch.from_numpy(np.concatenate([stacked, context_features(contexts)], 1))
