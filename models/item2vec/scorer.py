"""Skip-gram vectors as a next-song model: songs near what the session has just played."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray
from torch import Tensor

from segue.models.bundles.bundle import Bundle, BundleError
from segue.models.data.batching import ROW_BLOCK
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.skipgram import SkipGram, SkipGramConfig
from segue.models.ops.vectors import unit

# Plays further back weigh next to nothing at any decay worth having.
LONGEST_MEMORY = 50


class SkipGramNextSong:
    """Scores by the session's vector; of empty sessions it can say nothing."""

    def __init__(self, vectors: SkipGram, vocabulary: Vocabulary, config: SkipGramConfig) -> None:
        self.vocabulary = vocabulary
        self.config = config
        inputs, outputs = torch.from_numpy(vectors.inputs), torch.from_numpy(vectors.outputs)
        self._inputs = inputs
        cosine = config.readout == "cosine"
        self._heard = unit(inputs) if cosine else inputs
        self._next = (self._heard if cosine else outputs).T  # [D, V + 1]

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> SkipGramNextSong:
        """Build it from a verified bundle of kind "skipgram"."""
        return cls(skipgram_from_bundle(bundle), bundle.vocabulary, config_of(bundle))

    def song_vectors(self) -> Tensor:
        """Return the input vectors of songs, float32 [V + 1, D], of any length."""
        return self._inputs

    def next_vectors(self) -> Tensor:
        """Return the vectors whose products with `queries` are the scores, float32 [V + 1, D]."""
        return self._next.T

    @torch.inference_mode()
    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        scores = torch.full((len(contexts), len(self.vocabulary) + 1), -torch.inf)
        rows = contexts.sessions.lengths.nonzero()[0]
        if len(rows):
            queries = self.queries(contexts.sessions.take(rows))
            padded = F.pad(queries, (0, 0, 0, -len(rows) % ROW_BLOCK))
            scores[rows] = (padded @ self._next)[: len(rows)]
        return scores

    def queries(self, sessions: Ragged) -> Tensor:
        """Return the vector of each session, none of them empty, float32 [B, D].

        q = sum over plays i of decay^(T - i) u_i, over the sum of those weights; with the
        cosine both u_i and q have length 1.
        """
        recent = sessions.last(1 if self.config.decay == 0 else LONGEST_MEMORY)
        age = np.repeat(recent.offsets[1:], recent.lengths) - 1 - np.arange(len(recent.values))
        weights = (self.config.decay**age).astype(np.float32)
        weighted = self._heard[recent.values].numpy() * weights[:, None]
        sums: NDArray[np.float32] = np.add.reduceat(weighted, recent.offsets[:-1], axis=0)
        if self.config.readout == "cosine":
            return unit(torch.from_numpy(sums))
        totals = np.add.reduceat(weights, recent.offsets[:-1])
        return torch.from_numpy(sums / totals[:, None])


def bundle_weights(vectors: SkipGram) -> dict[str, Tensor]:
    """Return the tensors of a bundle, from which `skipgram_from_bundle` makes the same vectors."""
    return {
        "inputs": torch.from_numpy(vectors.inputs),
        "outputs": torch.from_numpy(vectors.outputs),
        "counts": torch.from_numpy(vectors.counts),
        "popularity": torch.from_numpy(vectors.counts.astype(np.float32)),
        "epochs": torch.tensor(vectors.epochs),
        "learning_rate": torch.tensor(vectors.learning_rate, dtype=torch.float64),
    }


def skipgram_from_bundle(bundle: Bundle) -> SkipGram:
    """Accept the vectors out of a verified bundle of kind "skipgram"."""
    rows, dim = len(bundle.vocabulary) + 1, config_of(bundle).dim
    expected: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
        "inputs": (torch.float32, (rows, dim)),
        "outputs": (torch.float32, (rows, dim)),
        "counts": (torch.int64, (rows,)),
        "epochs": (torch.int64, ()),
        "learning_rate": (torch.float64, ()),
    }
    arrays: dict[str, Any] = {}
    for name, (dtype, shape) in expected.items():
        tensor = bundle.weights.get(name)
        if tensor is None or tensor.dtype != dtype or tuple(tensor.shape) != shape:
            found = "is missing" if tensor is None else f"is {tensor.dtype} {list(tensor.shape)}"
            raise BundleError(
                f"{bundle.manifest.version}: tensor {name!r} {found}, not {dtype} {list(shape)}: "
                "train the bundle again"
            )
        arrays[name] = tensor.numpy() if shape else tensor.item()
    return SkipGram(**arrays)


def config_of(bundle: Bundle) -> SkipGramConfig:
    """Return the config of a bundle of kind "skipgram"; BundleError where it is none."""
    try:
        return SkipGramConfig(**bundle.manifest.config)
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"{bundle.manifest.version}: config: {error}: train the bundle again"
        ) from error
