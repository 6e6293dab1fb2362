"""Retrieval: from a query vector to the item numbers that may come next."""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray
from torch import Tensor

from models.sessions import ROW_BLOCK
from models.vocabulary import PADDING

# faiss compares few queries by loops and many by BLAS, which round differently. One path for
# all keeps a query's candidates the same in whatever batch it comes.
faiss.cvar.distance_compute_blas_threshold = 1 << 30


@dataclass(frozen=True)
class IndexConfig:
    """When to search approximately, and how hard."""

    exact_songs: int = 20_000  # up to here one matrix product beats every index
    probes: int = 32  # inverted lists visited of about 4 sqrt(songs)
    training_songs_per_list: int = 50


class ItemIndex:
    """The items whose vectors have the largest inner product with a query.

    Exact up to `exact_songs`; above, an inverted file (faiss IVF): k-means cells of which the
    nearest `probes` are searched exactly, so a search costs about sqrt(songs). Built the same
    from the same vectors every time.
    """

    def __init__(self, vectors: Tensor, config: IndexConfig | None = None) -> None:
        """Index float32 [V + 1, D]; row 0 is padding and never found."""
        self.config = config or IndexConfig()
        self.songs = len(vectors) - 1
        self._transposed: Tensor | None = None
        if self.songs <= self.config.exact_songs:
            self._transposed = vectors[1:].T.contiguous()
        else:
            self._inverted = self._build(np.ascontiguousarray(vectors[1:].numpy()))

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Give the best items of each query float32 [B, D], best first.

        Returns their inner products, float32 [B, k], and item numbers, int64 [B, k]. The
        products are exact either way. Where fewer than k are found, the rest is -inf and 0.
        """
        k = min(k, self.songs)
        if self._transposed is not None:
            count = len(queries)
            padded = F.pad(queries, (0, 0, 0, -count % ROW_BLOCK))
            scores, found = (padded @ self._transposed).topk(k, dim=1)
            return scores[:count], found[:count] + 1
        products, numbers = self._inverted.search(queries.numpy(), k)
        scores, items = torch.from_numpy(products), torch.from_numpy(numbers + 1)
        return scores.masked_fill_(items == PADDING, -torch.inf), items

    def _build(self, vectors: NDArray[np.float32]) -> faiss.IndexIVFFlat:
        dim = vectors.shape[1]
        lists = int(4 * self.songs**0.5)
        quantizer = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFFlat(quantizer, dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.max_points_per_centroid = self.config.training_songs_per_list
        index.train(vectors)
        index.add(vectors)
        index.nprobe = min(self.config.probes, lists)
        return index
