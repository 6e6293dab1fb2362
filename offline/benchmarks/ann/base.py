"""What an index must do to be measured, and which there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from segue.offline.benchmarks.worker_process import BenchError

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]

LINKS = 16
"""Neighbours to a song in every graph (M)."""
BUILD_BREADTH = 128
"""Songs that every graph keeps in view while it links a new one (ef_construction)."""


class Unsupported(Exception):
    """Something that a library does not do."""


class AnnIndex(Protocol):
    """The songs whose vectors have the largest inner product with a query.

    knob: what `search`'s setting means; more of it finds more and takes longer. settings: those
    that are measured.
    """

    knob: ClassVar[str]
    settings: ClassVar[tuple[int, ...]]

    @classmethod
    def build(cls, vectors: Vectors, threads: int) -> Self:
        """Index float32 [N, D] as the numbers 0 to N - 1."""
        ...

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Open what `save` has written; Unsupported where it cannot be."""
        ...

    def search(self, queries: Vectors, k: int, setting: int, threads: int) -> Numbers:
        """Give the best k songs of each query float32 [B, D], [B, k]; -1 where none is found."""
        ...

    def add(self, numbers: Numbers, vectors: Vectors, threads: int) -> None:
        """Take in further songs."""
        ...

    def remove(self, numbers: Numbers) -> None:
        """Find these songs no more; Unsupported where that takes a new index."""
        ...

    def save(self, path: Path) -> None:
        """Write a file for `load`."""
        ...


@dataclass(frozen=True)
class Library:
    """Where an index comes from. package: what has to be installed for it; told: in a line."""

    module: str
    name: str
    package: str
    distribution: str
    told: str

    def missing(self) -> str | None:
        """Say what to do where the package is not installed; None where it is."""
        if find_spec(self.package) is not None:
            return None
        return f"{self.package} is not installed: pip install 'segue[bench]'"

    def index(self) -> type[AnnIndex]:
        """Import the class."""
        found: type[AnnIndex] = getattr(
            import_module(f"segue.offline.benchmarks.ann.{self.module}"), self.name
        )
        return found


def _faiss(name: str, told: str) -> Library:
    return Library("ann_faiss", name, "faiss", "faiss-cpu", told)


def _graph(name: str, package: str, told: str) -> Library:
    return Library("ann_graphs", name, package, package, told)


LIBRARIES: Mapping[str, Library] = {
    "segue": Library(
        "ann_segue",
        "Segue",
        "faiss",
        "faiss-cpu",
        "what serves: models/retrieval/ann_index.py",
    ),
    "segue-scan": Library(
        "ann_segue", "SegueScanning", "faiss", "faiss-cpu", "the same, all codes scanned"
    ),
    "exact": Library("ann_exact", "Exact", "torch", "torch", "float32 matrix product"),
    "exact-int8": Library("ann_exact", "ExactInt8", "torch", "torch", "int8 matrix product"),
    "faiss-ivf": _faiss("InvertedFile", "inverted file, float32"),
    "faiss-ivf-sq8": _faiss("InvertedBytes", "inverted file, a byte a number"),
    "faiss-pq4": _faiss("Codes", "codes of 4 bits for 2 numbers, all scanned, best re-ranked"),
    "faiss-sq4": _faiss("FineCodes", "codes of 4 bits a number, all scanned, best re-ranked"),
    "faiss-ivf-pq4": _faiss("InvertedCodes", "inverted file of such codes, best re-ranked"),
    "faiss-hnsw": _faiss("Graph", "graph (HNSW), float32"),
    "hnswlib": _graph("Hnswlib", "hnswlib", "graph (HNSW), float32"),
    "usearch": _graph("Usearch", "usearch", "graph (HNSW), float32"),
    "usearch-bf16": _graph("UsearchHalf", "usearch", "graph (HNSW), bfloat16"),
    "usearch-i8": _graph("UsearchByte", "usearch", "graph (HNSW), int8"),
    "voyager": _graph("Voyager", "voyager", "graph (HNSW), float32"),
    "voyager-e4m3": _graph("VoyagerByte", "voyager", "graph (HNSW), 8-bit floats"),
}


def library(name: str) -> Library:
    """Give a library by its name; BenchError names those there are."""
    if name not in LIBRARIES:
        raise BenchError(f"no library {name!r}: there are {', '.join(LIBRARIES)}")
    return LIBRARIES[name]
