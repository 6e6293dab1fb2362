"""Songs as points: which lie near which, and where a listener stands among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.vocabulary import PADDING


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors float32 [..., D] to length 1; those of zeros stay so."""
    return F.normalize(vectors, dim=-1)


def unit_rows(rows: NDArray[np.floating], dtype: type[np.floating] = np.float32) -> NDArray[Any]:
    """Scale rows [N, D] to length 1; those of zeros stay so. dtype: of what is returned."""
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    scaled: NDArray[Any] = (rows / lengths.astype(np.result_type(rows, dtype))).astype(dtype)
    return scaled


def user_vector(vectors: Tensor, songs: Sequence[int]) -> Tensor:
    """Return the mean of the songs' vectors, float32 [D]: where their listener stands.

    vectors: float32 [V + 1, D]. songs: item numbers, at least one; a song played twice counts
    twice.

    >>> user_vector(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), [1, 1, 2, 2]).tolist()
    [0.5, 0.5]
    """
    assert songs, "a listener without songs stands nowhere"
    return vectors[list(songs)].mean(0)


def nearest_songs(
    vectors: Tensor, query: Tensor, n: int, excluded: Sequence[int] = ()
) -> list[tuple[int, float]]:
    """Return the `n` songs of the largest cosine with `query` float32 [D], as (number, cosine).

    vectors: float32 [V + 1, D]. excluded: item numbers to leave out. Fewer where no more are left;
    the lower number first at a tie.
    """
    cosines = unit(vectors) @ unit(query)
    cosines[[PADDING, *excluded]] = -torch.inf
    values, items = cosines.sort(descending=True, stable=True)
    found = int((values[:n] > -torch.inf).sum())
    return list(zip(items[:found].tolist(), values[:found].tolist(), strict=True))
