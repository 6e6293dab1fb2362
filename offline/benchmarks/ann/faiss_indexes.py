"""faiss: inverted files, codes of a few bits, and its graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np

from segue.offline.benchmarks.ann.base import BUILD_BREADTH, LINKS, Numbers, Unsupported, Vectors

INNER_PRODUCT = faiss.METRIC_INNER_PRODUCT
TRAINING_SONGS_PER_LIST = 50


class Faiss:
    """What all of them share: numbers are kept beside the index, as not all take any."""

    knob: ClassVar[str]
    settings: ClassVar[tuple[int, ...]]

    def __init__(self, index: Any) -> None:
        self.index = index

    @classmethod
    def make(cls, songs: int, dim: int) -> Any:
        """Give an index that has learned nothing yet."""
        raise NotImplementedError

    def turn(self, setting: int) -> None:
        """Set the knob."""
        raise NotImplementedError

    @classmethod
    def build(cls, vectors: Vectors, threads: int) -> Self:
        """Train and fill."""
        faiss.omp_set_num_threads(threads)
        index = cls.make(*vectors.shape)
        given = np.ascontiguousarray(vectors)
        index.train(given)
        index.add(given)
        return cls(index)

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Map the file, as far as the index can use it where it lies."""
        flags = faiss.IO_FLAG_MMAP_IFC
        return cls(faiss.read_index(str(path), flags))

    def search(self, queries: Vectors, k: int, setting: int, threads: int) -> Numbers:
        """Turn the knob and search."""
        faiss.omp_set_num_threads(threads)
        self.turn(setting)
        found: Numbers = self.index.search(np.ascontiguousarray(queries), k)[1]
        return found

    def add(self, numbers: Numbers, vectors: Vectors, threads: int) -> None:
        """Number them on from the last, which is what is asked for."""
        faiss.omp_set_num_threads(threads)
        assert numbers[0] == self.index.ntotal, "numbers must go on from the last"
        self.index.add(np.ascontiguousarray(vectors))

    def remove(self, numbers: Numbers) -> None:
        """Take them out of their lists."""
        self.index.remove_ids(faiss.IDSelectorBatch(numbers))

    def save(self, path: Path) -> None:
        """Write the index."""
        faiss.write_index(self.index, str(path))


class InvertedFile(Faiss):
    """k-means cells, about 4 sqrt(songs), of which the nearest are searched."""

    knob: ClassVar[str] = "cells searched (nprobe)"
    settings: ClassVar[tuple[int, ...]] = (32, 64, 128, 256, 512)

    @classmethod
    def make(cls, songs: int, dim: int) -> Any:
        """Keep float32 vectors in the cells."""
        cells = int(4 * songs**0.5)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, cells, INNER_PRODUCT)
        index.cp.max_points_per_centroid = TRAINING_SONGS_PER_LIST
        return index

    def turn(self, setting: int) -> None:
        """Set how many cells are searched."""
        self.index.nprobe = min(setting, self.index.nlist)


class InvertedBytes(InvertedFile):
    """The same with a byte a number, rounded between the least and the largest of its place."""

    @classmethod
    def make(cls, songs: int, dim: int) -> Any:
        """Keep bytes in the cells."""
        cells, kind = int(4 * songs**0.5), faiss.ScalarQuantizer.QT_8bit
        quantizer = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFScalarQuantizer(quantizer, dim, cells, kind, INNER_PRODUCT)
        index.cp.max_points_per_centroid = TRAINING_SONGS_PER_LIST
        return index


class Codes(Faiss):
    """Product quantisation by 4 bits for every two numbers, all songs scanned by SIMD.

    The best are ordered anew by their float32 vectors, which are kept as well.
    """

    knob: ClassVar[str] = "songs re-ranked, times k"
    settings: ClassVar[tuple[int, ...]] = (2, 4, 8, 16)
    numbers_per_code: ClassVar[int] = 2

    @classmethod
    def make(cls, songs: int, dim: int) -> Any:
        """Keep codes, and vectors beside them."""
        codes = -(-dim // cls.numbers_per_code)
        return _refined(dim, f"PQ{codes}x4fs")

    def turn(self, setting: int) -> None:
        """Set how many are ordered anew."""
        self.index.k_factor = setting

    def remove(self, numbers: Numbers) -> None:
        """Refuse: codes are packed by 32 songs, and the two parts would lose their order."""
        raise Unsupported


class FineCodes(Codes):
    """The same with 4 bits a number: twice the scan, and fewer to be ordered anew."""

    settings: ClassVar[tuple[int, ...]] = (1, 2, 4)
    numbers_per_code: ClassVar[int] = 1


class InvertedCodes(Codes):
    """The codes of the nearest of about sqrt(songs) cells; eight times k are ordered anew."""

    knob: ClassVar[str] = "cells searched (nprobe)"
    settings: ClassVar[tuple[int, ...]] = (32, 64, 128, 256)
    rerank: ClassVar[int] = 8

    @classmethod
    def make(cls, songs: int, dim: int) -> Any:
        """Keep codes of what is left of a vector without its cell's centre."""
        index = _refined(dim, f"IVF{int(songs**0.5)},PQ{-(-dim // cls.numbers_per_code)}x4fs")
        faiss.extract_index_ivf(index.base_index).cp.max_points_per_centroid = 200
        return index

    def turn(self, setting: int) -> None:
        """Set how many cells are searched."""
        self.index.k_factor = self.rerank
        cells = faiss.extract_index_ivf(faiss.downcast_index(self.index.base_index))
        cells.nprobe = min(setting, cells.nlist)


class Graph(Faiss):
    """Hierarchical navigable small worlds."""

    knob: ClassVar[str] = "songs kept in view (efSearch)"
    settings: ClassVar[tuple[int, ...]] = (100, 200, 400, 800)

    @classmethod
    def make(cls, songs: int, dim: int) -> Any:
        """Link float32 vectors."""
        index = faiss.IndexHNSWFlat(dim, LINKS, INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD_BREADTH
        return index

    def turn(self, setting: int) -> None:
        """Set how many songs are kept in view."""
        self.index.hnsw.efSearch = setting

    def remove(self, numbers: Numbers) -> None:
        """Refuse: links to a song cannot be cut."""
        raise Unsupported


def _refined(dim: int, codes: str) -> Any:
    coded: Any = faiss.index_factory(dim, codes, INNER_PRODUCT)
    index = faiss.IndexRefineFlat(coded)
    coded.this.disown()
    index.own_fields = True
    return index
