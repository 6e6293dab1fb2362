"""What the GRU makes of listeners: candidates for the next song, and log P(next = i) of any."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor

from segue.models.data.batching import ListenerBatch
from segue.models.gru.inference import GRUTables, ServingHeard, hide_heard
from segue.models.gru.network import GRU
from segue.models.ops.negative_sampling import NegativeSampler
from segue.models.retrieval.ann_index import ItemIndex

SAMPLED_SONGS = 1024
"""Songs that stand for all but the candidates in the sum that a song's share is taken of."""


@dataclass(frozen=True)
class Retrieved:
    """What was found for B listeners, of whom the last may only fill a block of rows.

    states: float32 [B, hidden]. queries: float32 [B, D]. items: int64 [B, C + S], candidates
    found by the index, then the songs that the listeners heard, each once. scores: float32
    [B, C + S], log P(next = item); -inf where there is no item, or where a song found was heard
    and so stands elsewhere in the row. found: C. gate: float32 [B], the logit of P(heard).
    log_new: float32 [B], what is added to a new song's inner product with the query to make its
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
    """Finds candidates by an index over the songs' vectors, and adds the songs heard before.

    The softmax's sum over all new songs is the candidates' own terms plus an estimate of the
    rest, from songs drawn once and for all. A row depends on its own listener alone, bit by
    bit.
    """

    def __init__(self, model: GRU, popularity: Tensor, index: ItemIndex | None = None) -> None:
        """Take a trained model; popularity: float32 [V + 1], its training play counts."""
        self.model = model.eval()
        self.vectors = model.item_vectors()
        self._states = GRUTables.of(model)
        self._heard = ServingHeard(model.heard, model.songs.weight)
        self.index = index or ItemIndex(self.vectors)
        # A song more than were played, so that every song can be drawn.
        sampler = NegativeSampler(popularity + 1, SAMPLED_SONGS, 1.0, full_softmax_songs=0)
        self._sample = sampler.draw(torch.Generator().manual_seed(0))
        self._sampled_vectors = self.vectors[self._sample.items].T.contiguous()  # [D, K]

    @torch.no_grad()
    def retrieve(self, batch: ListenerBatch, candidates: int) -> Retrieved:
        """Find up to `candidates` new songs for each listener."""
        sessions, count = batch.sessions, batch.count
        states = torch.from_numpy(
            self._states.states(sessions.items.numpy(), sessions.lengths.numpy())
        )
        queries = self.model.queries(states)  # [B, D]
        # Who only fills a block of rows is not looked for.
        products, found = self.index.search(queries[:count], candidates)
        missing = (0, 0, 0, len(queries) - count)
        products, found = F.pad(products, missing), F.pad(found, missing)  # [B, C]
        gate = self._heard.gate(states, batch)  # [B, 1]
        again, shares = self._heard.log_shares(states, batch)  # [B, S]
        new = products.clone()
        hide_heard(new.numpy(), found.numpy(), again)
        log_new = F.logsigmoid(-gate) - self._log_sum(queries, products, new)
        scores = torch.cat([new + log_new, torch.from_numpy(shares) + F.logsigmoid(gate)], 1)
        return Retrieved(
            states,
            queries,
            torch.cat([found, torch.from_numpy(again)], 1),
            # A listener who heard every song has no new one, and nothing to divide by.
            scores.nan_to_num_(nan=-torch.inf, neginf=-torch.inf),
            found.shape[1],
            gate[:, 0],
            log_new[:, 0],
        )

    def _log_sum(self, queries: Tensor, products: Tensor, new: Tensor) -> Tensor:
        """Give the logarithm of the softmax's sum over new songs, float32 [B, 1]."""
        rest = queries @ self._sampled_vectors
        everything = products.shape[1] == self.index.songs
        # Drawn songs so near to the query are among the candidates, and count already.
        among = rest >= (-torch.inf if everything else products.amin(1, keepdim=True))
        rest = (rest + self._sample.log_weights).masked_fill_(among, -torch.inf)
        # Not by logaddexp, which rounds the last rows of a batch otherwise than the rest.
        both = torch.stack([new.logsumexp(1), rest.logsumexp(1)], 1)
        return both.logsumexp(1, keepdim=True)
