"""The GRU retriever: candidates for the next song, with log P(next = i)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor

from segue.models.data.batching import ListenerBatch, pad_listeners
from segue.models.data.vocabulary import PADDING
from segue.models.gru.inference import GRUTables, RepeatInference, exclude_played
from segue.models.gru.network import GRU
from segue.models.ops.negative_sampling import NegativeSampler
from segue.models.retrieval.ann_index import ItemIndex
from segue.models.retrieval.candidates import CandidateList
from segue.models.retrieval.retriever import ContextBatch, RetrieverFeature

SAMPLED_SONGS = 1024
"""Songs sampled for the softmax's sum, instead of all but the candidates."""


@dataclass(frozen=True)
class GRUSearch:
    """What a search returns for B listeners, of whom the last may only fill a block of rows.

    states: float32 [B, hidden]. queries: float32 [B, D]. items: int64 [B, C + S], candidates
    of the index, then the songs that the listeners played, each once. scores: float32 [B, C + S],
    log P(next = item); -inf where there is no item, or where a song of the index was played
    and so has a column of its own. found: C. gate: float32 [B], the logit of P(repeat).
    log_new: float32 [B], which added to a new song's inner product with the query makes its
    log-probability.
    """

    states: Tensor
    queries: Tensor
    items: Tensor
    scores: Tensor
    found: int
    gate: Tensor
    log_new: Tensor


class GRURetriever:
    """Songs nearest to the GRU's query, and the songs that the listener played.

    The softmax's sum over all new songs is the candidates' own terms plus an estimate of the
    rest, from songs drawn once and for all. A row depends on its own listener alone, bit by
    bit.
    """

    name = "gru"
    features: Sequence[RetrieverFeature] = ("rank",)

    def __init__(self, model: GRU, popularity: Tensor, index: ItemIndex | None = None) -> None:
        """model: trained. popularity: play counts of its training, float32 [V + 1]."""
        self.model = model.eval()
        self.vectors = model.item_vectors()
        self._states = GRUTables.of(model)
        self._repeat_head = RepeatInference(model.heard, model.songs.weight)
        self.index = index or ItemIndex(self.vectors)
        # One play more of each, so that every song can be drawn.
        sampler = NegativeSampler(popularity + 1, SAMPLED_SONGS, 1.0, full_softmax_songs=0)
        self._sample = sampler.draw(torch.Generator().manual_seed(0))
        self._sampled_vectors = self.vectors[self._sample.items].T.contiguous()  # [D, K]

    def retrieve(self, batch: ContextBatch, limit: int) -> CandidateList:
        """Return up to `limit` new songs and those played before, by log-probability."""
        found, count = self.found(batch, limit), len(batch)
        scores, order = found.scores[:count].sort(dim=1, descending=True, stable=True)
        items = found.items[:count].gather(1, order).masked_fill_(scores == -torch.inf, PADDING)
        return CandidateList(items.numpy(), scores.numpy())

    def found(self, batch: ContextBatch, limit: int) -> GRUSearch:
        """Return the search of `limit` new songs, run once for the batch."""

        def search() -> GRUSearch:
            contexts, config = batch.contexts, self.model.config
            listeners = pad_listeners(
                contexts.histories.joined(contexts.sessions),
                contexts.sessions.lengths,
                config.max_length,
                config.max_history,
            )
            return self.search(listeners, limit)

        return batch.once((self, limit), search)

    @torch.no_grad()
    def search(self, batch: ListenerBatch, limit: int) -> GRUSearch:
        """Search up to `limit` new songs for each listener."""
        sessions, count = batch.sessions, batch.count
        states = torch.from_numpy(
            self._states.states(sessions.items.numpy(), sessions.lengths.numpy())
        )
        queries = self.model.queries(states)  # [B, D]
        # Rows that only fill a block are not searched for.
        products, found = self.index.search(queries[:count], limit)
        missing = (0, 0, 0, len(queries) - count)
        products, found = F.pad(products, missing), F.pad(found, missing)  # [B, C]
        gate = self._repeat_head.gate(states, batch)  # [B, 1]
        again, shares = self._repeat_head.log_shares(states, batch)  # [B, S]
        new = products.clone()
        exclude_played(new.numpy(), found.numpy(), again)
        log_new = F.logsigmoid(-gate) - self._log_sum(queries, products, new)
        scores = torch.cat([new + log_new, torch.from_numpy(shares) + F.logsigmoid(gate)], 1)
        return GRUSearch(
            states,
            queries,
            torch.cat([found, torch.from_numpy(again)], 1),
            # A listener who played every song has no new one, and nothing to divide by.
            scores.nan_to_num_(nan=-torch.inf, neginf=-torch.inf),
            found.shape[1],
            gate[:, 0],
            log_new[:, 0],
        )

    def _log_sum(self, queries: Tensor, products: Tensor, new: Tensor) -> Tensor:
        """Return the logarithm of the softmax's sum over new songs, float32 [B, 1]."""
        rest = queries @ self._sampled_vectors
        everything = products.shape[1] == self.index.songs
        # Sampled songs as near as the candidates are among them, and count already.
        among = rest >= (-torch.inf if everything else products.amin(1, keepdim=True))
        rest = (rest + self._sample.log_weights).masked_fill_(among, -torch.inf)
        # Not by logaddexp, which rounds the last rows of a batch otherwise than the rest.
        both = torch.stack([new.logsumexp(1), rest.logsumexp(1)], 1)
        return both.logsumexp(1, keepdim=True)
