"""What serves: `segue.models.retrieval.ann_index.ItemIndex`, measured like the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import faiss
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor

from segue.models.retrieval.ann_index import IndexConfig, ItemIndex
from segue.offline.benchmarks.ann.base import Numbers, Vectors

VECTORS = ".npy"
"""The vectors lie beside the index, as in a bundle; this is appended to its file's name."""


class Segue:
    """Number n is item n + 1, as items begin at 1."""

    knob: ClassVar[str] = "songs re-ranked, times k"
    settings: ClassVar[tuple[int, ...]] = (2, 4, 6, 8)
    config: ClassVar[IndexConfig] = IndexConfig(exact_songs=0)

    def __init__(self, index: ItemIndex, vectors: Tensor) -> None:
        self.index = index
        self.vectors = vectors  # float32 [N + 1, D]

    @classmethod
    def build(cls, vectors: Vectors, threads: int) -> Self:
        """Put the padding's row first; the other rows are the caller's own."""
        _use(threads)
        rows = F.pad(torch.from_numpy(vectors), (0, 0, 1, 0))
        return cls(ItemIndex(rows, cls.config), rows)

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Map the codes and the vectors."""
        rows = torch.from_numpy(np.load(f"{path}{VECTORS}", mmap_mode="c"))
        return cls(ItemIndex.load(path, rows, cls.config), rows)

    def search(self, queries: Vectors, k: int, setting: int, threads: int) -> Numbers:
        """Search as a worker does."""
        _use(threads)
        self.index.config = replace(self.index.config, rerank=setting)
        _, items = self.index.search(torch.from_numpy(queries), k)
        found: Numbers = items.numpy() - 1
        return found

    def add(self, numbers: Numbers, vectors: Vectors, threads: int) -> None:
        """Number them on from the last."""
        _use(threads)
        added = torch.from_numpy(vectors)
        self.index.add(added)
        self.vectors = torch.cat([self.vectors, added])

    def remove(self, numbers: Numbers) -> None:
        """Mark them."""
        self.index.remove(torch.from_numpy(numbers) + 1)

    def save(self, path: Path) -> None:
        """Write the codes, and the vectors beside them."""
        self.index.save(path)
        np.save(f"{path}{VECTORS}", self.vectors.numpy())


class SegueScanning(Segue):
    """The same with every song's codes looked at, and no cells."""

    config: ClassVar[IndexConfig] = IndexConfig(exact_songs=0, scanned_songs=1 << 40)


def _use(threads: int) -> None:
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
