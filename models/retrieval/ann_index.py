"""Retrieval: from a query vector to the item numbers that may come next."""

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
from segue.models.data.vocabulary import PADDING
from segue.models.errors import SegueError
from segue.models.ops.dot_products import ByteVectors, multiply, multiply_bytes
from segue.models.ops.jit import compiled_sums


@compiled_sums
def refine(
    vectors: NDArray[np.float32],
    rows: ByteVectors,
    removed: NDArray[np.bool_],
    items: NDArray[np.int64],
    queries: NDArray[np.float32],
    most: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Give the best `most` of each query's items, best first: [B, most] both.

    vectors: float32 [V + 1, D]; rows: the same in bytes, by which the best are told from the
    rest, so that few rows of `vectors` are read. removed: bool [V + 1], items that are not
    wanted. items: int64 [B, C], 0 for none; queries: float32 [B, D]. The products are those of
    `vectors`; -inf and 0 where there are fewer.
    """
    count, width = items.shape
    products = np.full((count, most), -np.inf, np.float32)
    found = np.zeros((count, most), np.int64)
    for row in range(count):
        query = queries[row : row + 1]
        nearly = np.zeros((width, 1), np.float32)
        multiply_bytes(rows, items[row], query, nearly)
        far = -nearly[:, 0]
        for slot in range(width):
            if items[row, slot] == 0 or removed[items[row, slot]]:
                far[slot] = np.inf
        bound, ties = np.float32(np.inf), 0
        if most < width:
            bound = np.partition(far, most - 1)[most - 1]
            ties = most - (far < bound).sum()
        chosen, used = np.empty(most, np.int64), 0
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
"""A code of 4 bits names one of so many centres, and each needs a song to begin with."""


FEWEST_FOUND = 32
"""As many are looked for though fewer are wanted: codes name the very best songs badly."""


class IndexMismatch(SegueError):
    """An index file that was not made of these vectors."""


@dataclass(frozen=True)
class IndexConfig:
    """When to search approximately, and how hard.

    exact_songs: up to here one matrix product beats every index. scanned_songs: up to here the
    codes of all songs are looked at, above only those of the nearest `probes` of about
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
    two numbers of a vector, so that a song takes a sixteenth of the room and the processor
    compares 32 at once; then the best by these codes are told apart by bytes, `rows`, and the
    best of those ordered by their vectors. Built the same from the same vectors every time, with
    however many threads. The vectors themselves are the caller's own, not copied.
    """

    def __init__(self, vectors: Tensor, config: IndexConfig | None = None) -> None:
        """Index float32 [V + 1, D]; row 0 is padding and never found."""
        self.config = config or IndexConfig()
        self._take(vectors, ByteVectors.of(vectors.numpy()))
        self._codes: Any = self._coded() if self._is_coded() else None

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Give the best items of each query float32 [B, D], best first.

        Returns their inner products, float32 [B, k], and item numbers, int64 [B, k]. The
        products are exact either way. Where fewer than k are found, the rest is -inf and 0.
        """
        k = min(k, self.songs)
        return self._exact(queries, k) if self._codes is None else self._near(queries, k)

    def add(self, vectors: Tensor) -> None:
        """Take in further items, float32 [N, D], numbered on from the last.

        Their codes are of the centres that the first ones were trained to: where songs have
        changed much, build a new index.
        """
        rows = self.rows.joined(ByteVectors.of(vectors.numpy()))
        self._take(torch.cat([self._vectors, vectors]), rows, self._removed)
        if self._codes is not None:
            self._codes.add(vectors.numpy())
        elif self._is_coded():
            self._codes = self._coded()

    def remove(self, items: Tensor) -> None:
        """Find these item numbers, int64 [N], no more. They keep their numbers."""
        self._removed[items] = True

    def content(self) -> bytes | None:
        """Give the codes and a hash of the vectors as a file's bytes; None where search is exact.

        The same vectors give the same bytes.
        """
        if self._codes is None:
            return None
        codes: bytes = faiss.serialize_index(self._codes).tobytes()
        return codes + _fingerprint(self._vectors)

    def save(self, path: Path) -> None:
        """Write that file; nothing where search is exact."""
        content = self.content()
        if content is not None:
            path.write_bytes(content)

    @classmethod
    def load(cls, path: Path, vectors: Tensor, config: IndexConfig | None = None) -> ItemIndex:
        """Map a file that `save` has written, so that processes share its pages.

        vectors: those that it was made of, float32 [V + 1, D]; IndexMismatch where it was not.
        No file is needed where search is exact. Removed items are found again.
        """
        made = cls.__new__(cls)
        made.config = config or IndexConfig()
        made._take(vectors, ByteVectors.of(vectors.numpy()))
        made._codes = made._mapped(path) if made._is_coded() else None
        return made

    def _take(self, vectors: Tensor, rows: ByteVectors, removed: Tensor | None = None) -> None:
        self.songs = len(vectors) - 1
        self._vectors, self.rows = vectors, rows
        self._removed = torch.zeros(len(vectors), dtype=torch.bool)
        if removed is not None:
            self._removed[: len(removed)] = removed
        # Rows of songs a column each, which is how the product reads them.
        self._transposed = None if self._is_coded() else vectors[1:].T.contiguous()

    def _is_coded(self) -> bool:
        return self.songs > max(self.config.exact_songs, FEWEST_CODED)

    def _exact(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Do so by the products with all items, [B, V]."""
        assert self._transposed is not None, "an index without codes has its vectors transposed"
        padded = F.pad(queries, (0, 0, 0, -len(queries) % ROW_BLOCK))
        products = (padded @ self._transposed)[: len(queries)]
        scores, places = products.masked_fill_(self._removed[1:], -torch.inf).topk(k, dim=1)
        return scores, (places + 1).masked_fill_(scores == -torch.inf, PADDING)

    def _near(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Do so among the best by their codes."""
        asked, vectors, removed = queries.numpy(), self._vectors.numpy(), self._removed.numpy()
        count = min(max(k, FEWEST_FOUND) * self.config.rerank, self.songs)
        items: NDArray[np.int64] = self._codes.search(asked, count)[1] + 1
        products, found = refine(vectors, self.rows, removed, items, asked, k)
        return torch.from_numpy(products), torch.from_numpy(found)

    def _coded(self) -> Any:
        """Train centres and give every song its codes."""
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
                msg = f"{path} was made of other vectors, or is no index: make it anew"
                raise IndexMismatch(msg)
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def _fingerprint(vectors: Tensor) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(vectors.numpy()).tobytes()).digest()


def index_of(bundle: Bundle, vectors: Tensor) -> ItemIndex:
    """Give the index over the vectors that songs are found by, float32 [V + 1, D].

    A processor that rounds otherwise than the one that wrote the bundle has other vectors, by
    a last bit: then, too, the index is built.
    """
    if bundle.index is not None:
        try:
            return ItemIndex.load(bundle.index, vectors)
        except IndexMismatch:
            pass
    return ItemIndex(vectors)
