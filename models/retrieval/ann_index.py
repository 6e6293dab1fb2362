"""The ANN index: from query vectors to the items of the largest inner products."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray
from torch import Tensor

from segue.models.bundles.bundle import Bundle
from segue.models.data.batching import ROW_BLOCK
from segue.models.errors import SegueError
from segue.models.ops.dot_products import ByteVectors, multiply, multiply_bytes
from segue.models.ops.jit import compiled_sums


@compiled_sums
def refine(
    vectors: NDArray[np.float32],
    rows: ByteVectors,
    items: NDArray[np.int64],
    queries: NDArray[np.float32],
    limit: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the best `limit` of each query's items, best first: [B, limit] both.

    vectors: float32 [V + 1, D]; rows: the same in bytes, which tell the best from the rest, so
    that few rows of `vectors` are read. items: int64 [B, C], 0 for none; queries: float32
    [B, D]. The products are those of `vectors`; -inf and 0 where there are fewer.
    """
    count, width = items.shape
    products = np.full((count, limit), -np.inf, np.float32)
    found = np.zeros((count, limit), np.int64)
    for row in range(count):
        query = queries[row : row + 1]
        nearly = np.zeros((width, 1), np.float32)
        multiply_bytes(rows, items[row], query, nearly)
        far = -nearly[:, 0]
        for slot in range(width):
            if items[row, slot] == 0:
                far[slot] = np.inf
        bound, ties = np.float32(np.inf), 0
        if limit < width:
            bound = np.partition(far, limit - 1)[limit - 1]
            ties = limit - (far < bound).sum()
        chosen, used = np.empty(limit, np.int64), 0
        for slot in range(width):
            among = far[slot] < bound
            if far[slot] == bound and bound < np.inf and ties > 0:
                among, ties = True, ties - 1
            if among:
                chosen[used] = items[row, slot]
                used += 1
        exact = np.zeros((used, 1), np.float32)
        multiply(vectors, chosen[:used], query, exact)
        order = np.argsort(-exact[:, 0], kind="mergesort")
        for place in range(used):
            products[row, place] = exact[order[place], 0]
            found[row, place] = chosen[order[place]]
    return products, found


# faiss compares few queries by loops and many by BLAS, which round differently. One path for
# all keeps a query's candidates the same in whatever batch it comes.
faiss.cvar.distance_compute_blas_threshold = 1 << 30

FEWEST_CODED = 16
"""A code of 4 bits is one of so many centres, and each needs a song to begin with."""
FEWEST_FOUND = 32
"""As many are searched though fewer are asked for: codes rank the very best songs badly."""


class IndexMismatch(SegueError):
    """An index file of other vectors."""


@dataclass(frozen=True)
class IndexConfig:
    """When to search approximately, and how hard.

    exact_songs: up to here one matrix product beats every index. scanned_songs: up to here the
    codes of all songs are compared, above only those of the nearest `probes` of about
    sqrt(songs) cells; None: an eighth of the cells. rerank: times k, how many of the best by
    their codes are compared by a byte for each number; the k best of those by their vectors.
    """

    exact_songs: int = 20_000
    # At 60,000 songs the cells find 0.98 of the best 20 of #nowplaying's sessions, and 0.96 of
    # the best 100, in half of the time that all codes take.
    scanned_songs: int = 40_000
    rerank: int = 4
    probes: int | None = None
    training_songs_per_cell: int = 50

    def __post_init__(self) -> None:
        for name in ("rerank", "probes", "training_songs_per_cell"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value!r}")


class ItemIndex:
    """The items whose vectors have the largest inner product with a query.

    Exact up to `exact_songs`. Above, product quantisation (faiss's FastScan): 4 bits stand for
    two numbers of a vector, so that a song takes a sixteenth of the memory and the processor
    compares 32 at once; then the best by these codes are compared by bytes, `rows`, and the best
    of those ordered by their vectors. The same vectors make the same index, with however many
    threads. The vectors themselves are the caller's, not copied.
    """

    def __init__(self, vectors: Tensor, config: IndexConfig | None = None) -> None:
        """Index float32 [V + 1, D]; row 0 is padding and never found."""
        self.config = config or IndexConfig()
        self._set_vectors(vectors)
        self._codes: Any = self._coded() if self._is_coded() else None

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the best items of each query float32 [B, D], best first.

        Returns their inner products, float32 [B, k], and item numbers, int64 [B, k]. The
        products are exact either way. Where fewer than k are found, the rest is -inf and 0.
        """
        k = min(k, self.songs)
        return self._exact(queries, k) if self._codes is None else self._near(queries, k)

    def content(self) -> bytes | None:
        """Return the codes and a hash of the vectors as a file's bytes; None where search is exact.

        The same vectors give the same bytes.
        """
        if self._codes is None:
            return None
        codes: bytes = faiss.serialize_index(self._codes).tobytes()
        return codes + _fingerprint(self._vectors)

    @classmethod
    def load(cls, path: Path, vectors: Tensor, config: IndexConfig | None = None) -> ItemIndex:
        """Map a file with `content`, so that processes share its pages.

        vectors: those of the index, float32 [V + 1, D]; IndexMismatch where it has others. No
        file is needed where search is exact.
        """
        index = cls.__new__(cls)
        index.config = config or IndexConfig()
        index._set_vectors(vectors)
        index._codes = index._mapped(path) if index._is_coded() else None
        return index

    def _set_vectors(self, vectors: Tensor) -> None:
        self.songs = len(vectors) - 1
        self._vectors, self.rows = vectors, ByteVectors.of(vectors.numpy())
        # Rows of songs a column each, which is how the product reads them.
        self._transposed = None if self._is_coded() else vectors[1:].T.contiguous()

    def _is_coded(self) -> bool:
        return self.songs > max(self.config.exact_songs, FEWEST_CODED)

    def _exact(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        assert self._transposed is not None, "an index without codes has its vectors transposed"
        padded = F.pad(queries, (0, 0, 0, -len(queries) % ROW_BLOCK))
        products = (padded @ self._transposed)[: len(queries)]
        scores, places = products.topk(k, dim=1)
        return scores, places + 1

    def _near(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        vectors = self._vectors.numpy()
        count = min(max(k, FEWEST_FOUND) * self.config.rerank, self.songs)
        items: NDArray[np.int64] = self._codes.search(queries.numpy(), count)[1] + 1
        products, found = refine(vectors, self.rows, items, queries.numpy(), k)
        return torch.from_numpy(products), torch.from_numpy(found)

    def _coded(self) -> Any:
        rows = self._vectors[1:].numpy()
        dim = rows.shape[1]
        codes = dim // 2 if dim % 2 == 0 else dim
        index: Any = faiss.IndexPQFastScan(dim, codes, 4, faiss.METRIC_INNER_PRODUCT)
        if self.songs > self.config.scanned_songs:
            cells = int(self.songs**0.5)
            index = faiss.index_factory(
                dim, f"IVF{cells},PQ{codes}x4fs", faiss.METRIC_INNER_PRODUCT
            )
            index.cp.max_points_per_centroid = self.config.training_songs_per_cell
            index.nprobe = min(self.config.probes or cells // 8, cells)
        index.train(rows)
        index.add(rows)
        return index

    def _mapped(self, path: Path) -> Any:
        fingerprint = _fingerprint(self._vectors)
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - len(fingerprint), 0))
            if file.read() != fingerprint:
                msg = f"{path} was made of other vectors, or is no index: write it again"
                raise IndexMismatch(msg)
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def _fingerprint(vectors: Tensor) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(vectors.numpy()).tobytes()).digest()


def index_of(bundle: Bundle, vectors: Tensor) -> ItemIndex:
    """Return the index of a bundle over its vectors, float32 [V + 1, D]; built where it has none.

    A processor that rounds otherwise than the one that wrote the bundle has other vectors, by
    a last bit: then, too, the index is built.
    """
    if bundle.index is not None:
        try:
            return ItemIndex.load(bundle.index, vectors)
        except IndexMismatch:
            pass
    return ItemIndex(vectors)
