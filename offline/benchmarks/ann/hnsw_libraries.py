"""usearch, voyager and hnswlib: three libraries of one idea, HNSW."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from segue.offline.benchmarks.ann.base import BUILD_BREADTH, LINKS, Numbers, Unsupported, Vectors

KNOB = "songs kept in view (ef)"
SETTINGS = (100, 200, 400, 800)


class Usearch:
    """usearch, in float32."""

    knob: ClassVar[str] = KNOB
    settings: ClassVar[tuple[int, ...]] = SETTINGS
    dtype: ClassVar[str] = "f32"

    def __init__(self, index: Any) -> None:
        self.index = index

    @classmethod
    def _empty(cls, dim: int) -> Any:
        from usearch.index import Index

        return Index(
            ndim=dim,
            metric="ip",
            dtype=cls.dtype,
            connectivity=LINKS,
            expansion_add=BUILD_BREADTH,
        )

    @classmethod
    def build(cls, vectors: Vectors, threads: int) -> Self:
        """Link one song after the other."""
        index = cls._empty(vectors.shape[1])
        index.add(np.arange(len(vectors)), np.ascontiguousarray(vectors), threads=threads)
        return cls(index)

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Map the file."""
        index = cls._empty(dim)
        index.view(str(path))
        return cls(index)

    def search(self, queries: Vectors, k: int, setting: int, threads: int) -> Numbers:
        """Walk the graph."""
        self.index.expansion_search = setting
        found = self.index.search(queries, k, threads=threads)
        keys: Numbers = np.atleast_2d(found.keys).astype(np.int64)
        counts = np.reshape(found.counts if hasattr(found, "counts") else len(keys[0]), (-1, 1))
        return np.where(np.arange(keys.shape[1]) < counts, keys, -1)

    def add(self, numbers: Numbers, vectors: Vectors, threads: int) -> None:
        """Link further songs."""
        self.index.add(numbers, np.ascontiguousarray(vectors), threads=threads)

    def remove(self, numbers: Numbers) -> None:
        """Mark them."""
        self.index.remove(numbers)

    def save(self, path: Path) -> None:
        """Write the graph."""
        self.index.save(str(path))


class UsearchHalf(Usearch):
    """usearch, in bfloat16."""

    dtype: ClassVar[str] = "bf16"


class UsearchByte(Usearch):
    """usearch, in bytes."""

    dtype: ClassVar[str] = "i8"


class Hnswlib:
    """hnswlib, in float32."""

    knob: ClassVar[str] = KNOB
    settings: ClassVar[tuple[int, ...]] = SETTINGS

    def __init__(self, index: Any) -> None:
        self.index = index

    @classmethod
    def build(cls, vectors: Vectors, threads: int) -> Self:
        """Link one song after the other."""
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), M=LINKS, ef_construction=BUILD_BREADTH)
        index.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
        return cls(index)

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Read the file."""
        import hnswlib

        index = hnswlib.Index("ip", dim)
        index.load_index(str(path))
        return cls(index)

    def search(self, queries: Vectors, k: int, setting: int, threads: int) -> Numbers:
        """Walk the graph."""
        self.index.set_ef(setting)
        found: Numbers = self.index.knn_query(queries, k, num_threads=threads)[0].astype(np.int64)
        return found

    def add(self, numbers: Numbers, vectors: Vectors, threads: int) -> None:
        """Make room and link further songs."""
        self.index.resize_index(self.index.get_current_count() + len(numbers))
        self.index.add_items(vectors, numbers, num_threads=threads)

    def remove(self, numbers: Numbers) -> None:
        """Mark them."""
        for number in numbers.tolist():
            self.index.mark_deleted(number)

    def save(self, path: Path) -> None:
        """Write the graph."""
        self.index.save_index(str(path))


class Voyager:
    """voyager, in float32."""

    knob: ClassVar[str] = KNOB
    settings: ClassVar[tuple[int, ...]] = SETTINGS
    storage: ClassVar[str] = "Float32"

    def __init__(self, index: Any) -> None:
        self.index = index

    @classmethod
    def build(cls, vectors: Vectors, threads: int) -> Self:
        """Link one song after the other."""
        import voyager

        index = voyager.Index(
            voyager.Space.InnerProduct,
            vectors.shape[1],
            M=LINKS,
            ef_construction=BUILD_BREADTH,
            max_elements=len(vectors),
            storage_data_type=getattr(voyager.StorageDataType, cls.storage),
        )
        index.add_items(np.array(vectors), list(range(len(vectors))), num_threads=threads)
        return cls(index)

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Read the file."""
        import voyager

        return cls(voyager.Index.load(str(path)))

    def search(self, queries: Vectors, k: int, setting: int, threads: int) -> Numbers:
        """Walk the graph; it fails, rather than give fewer, where it finds less than k."""
        try:
            found, _ = self.index.query(np.array(queries), k, threads, setting)
        except RuntimeError as error:
            raise Unsupported from error
        numbers: Numbers = found.astype(np.int64)
        return numbers

    def add(self, numbers: Numbers, vectors: Vectors, threads: int) -> None:
        """Link further songs."""
        self.index.add_items(np.array(vectors), numbers.tolist(), num_threads=threads)

    def remove(self, numbers: Numbers) -> None:
        """Mark them."""
        for number in numbers.tolist():
            self.index.mark_deleted(number)

    def save(self, path: Path) -> None:
        """Write the graph."""
        self.index.save(str(path))


class VoyagerByte(Voyager):
    """voyager, in floats of 8 bits, which only numbers between -1 and 1 suit."""

    storage: ClassVar[str] = "E4M3"
