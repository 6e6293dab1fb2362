"""Every song looked at, by a matrix product: what the others are measured against."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from segue.offline.benchmarks.ann.base import Numbers, Vectors

INT8_MOST = 127


class Exact:
    """Inner products in float32, by BLAS."""

    knob: ClassVar[str] = "none"
    settings: ClassVar[tuple[int, ...]] = (1,)

    def __init__(self, vectors: Tensor, numbers: Tensor) -> None:
        self.vectors = vectors  # float32 [N, D]
        self.numbers = numbers  # int64 [N]

    @classmethod
    def build(cls, vectors: Vectors, threads: int) -> Self:
        """Copy them."""
        return cls(torch.from_numpy(np.array(vectors)), torch.arange(len(vectors)))

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Map the vectors."""
        mapped = np.load(path, mmap_mode="c")  # torch wants what it could write to
        return cls(torch.from_numpy(mapped), torch.arange(len(mapped)))

    def search(self, queries: Vectors, k: int, setting: int, threads: int) -> Numbers:
        """Multiply, and keep the largest."""
        torch.set_num_threads(threads)
        found = self.scores(torch.from_numpy(queries)).topk(k, dim=1).indices
        return self.numbers[found].numpy()

    def scores(self, queries: Tensor) -> Tensor:
        """Give the product of each query with each song, [B, N]."""
        return queries @ self.vectors.T

    def add(self, numbers: Numbers, vectors: Vectors, threads: int) -> None:
        """Put rows behind the others."""
        self.vectors = torch.cat([self.vectors, torch.from_numpy(vectors)])
        self.numbers = torch.cat([self.numbers, torch.from_numpy(numbers)])

    def remove(self, numbers: Numbers) -> None:
        """Leave rows out."""
        kept = ~torch.isin(self.numbers, torch.from_numpy(numbers))
        self.vectors, self.numbers = self.vectors[kept], self.numbers[kept]

    def save(self, path: Path) -> None:
        """Write the vectors."""
        with path.open("wb") as file:
            np.save(file, self.vectors.numpy())


class ExactInt8(Exact):
    """Inner products of numbers rounded to bytes; the best are multiplied again in float32.

    Every song is rounded by one scale, each query by its own, so that no order is lost to it.
    """

    knob: ClassVar[str] = "songs multiplied again, times k"
    settings: ClassVar[tuple[int, ...]] = (1, 2, 4)

    def __init__(self, vectors: Tensor, numbers: Tensor) -> None:
        super().__init__(vectors, numbers)
        self.scale = INT8_MOST / vectors.abs().max()
        self.bytes = self._rounded(vectors)

    def _rounded(self, vectors: Tensor) -> Tensor:
        scaled = (vectors * self.scale).round_().clamp_(-INT8_MOST, INT8_MOST)
        return scaled.to(torch.int8)

    def search(self, queries: Vectors, k: int, setting: int, threads: int) -> Numbers:
        """Multiply bytes, keep the largest, and order those by their true products."""
        torch.set_num_threads(threads)
        asked = torch.from_numpy(queries)
        found = self.scores(asked).topk(min(k * setting, len(self.bytes)), dim=1).indices
        if setting > 1:
            products = torch.einsum("bd,bkd->bk", asked, self.vectors[found])
            found = found.gather(1, products.topk(k, dim=1).indices)
        return self.numbers[found].numpy()

    def scores(self, queries: Tensor) -> Tensor:
        """Give int32 [B, N]."""
        largest = queries.abs().amax(1, keepdim=True)
        asked = (queries * (INT8_MOST / largest)).round_().to(torch.int8)
        return torch._int_mm(asked, self.bytes.T)  # no public function multiplies bytes

    def add(self, numbers: Numbers, vectors: Vectors, threads: int) -> None:
        """Put rows behind the others."""
        super().add(numbers, vectors, threads)
        self.bytes = torch.cat([self.bytes, self._rounded(torch.from_numpy(vectors))])

    def remove(self, numbers: Numbers) -> None:
        """Leave rows out."""
        self.bytes = self.bytes[~torch.isin(self.numbers, torch.from_numpy(numbers))]
        super().remove(numbers)
