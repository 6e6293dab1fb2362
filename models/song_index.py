"""The index of a bundle's songs: mapped where the bundle brings one, else built."""

from __future__ import annotations

from torch import Tensor

from models.bundle import Bundle
from models.index import IndexMismatch, ItemIndex


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
