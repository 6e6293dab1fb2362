"""What a network of sound is to predict: the vectors that listening gave songs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from segue.models.audio.network import FACTORS, SKIPGRAM
from segue.models.bundles.bundle import BundleError, read_bundle
from segue.models.collaborative.als import FactorsConfig, error_terms, factorise
from segue.models.ops.vectors import unit
from segue.offline.datasets.play_log import PlayLog


@dataclass(frozen=True)
class Targets:
    """Song vectors to be predicted.

    space: `skipgram` or `factors`. vectors: float32 [N, D], of the songs of `song_ids`; of
    length 1 in the skip-gram space. plays: float32 [N]. version: of the bundle whose space it
    is, or "". squares, products: of the weighted prediction error, float32 [N, D, D] and
    [N, D], where the listeners' side is known.
    """

    space: str
    song_ids: Sequence[str]
    vectors: NDArray[np.float32]
    plays: NDArray[np.float32]
    version: str = ""
    squares: NDArray[np.float32] | None = None
    products: NDArray[np.float32] | None = None

    def take(self, rows: NDArray[np.int64]) -> Targets:
        """Return these of them, in this order."""
        return Targets(
            self.space,
            [self.song_ids[row] for row in rows],
            self.vectors[rows],
            self.plays[rows],
            self.version,
            None if self.squares is None else self.squares[rows],
            None if self.products is None else self.products[rows],
        )


def bundle_targets(directory: Path) -> Targets:
    """Accept the skip-gram space of a bundle of kind `skipgram` or `hybrid`; BundleError else."""
    bundle = read_bundle(directory, kind=None)
    names = {"skipgram": "inputs", "hybrid": "skipgram.vectors"}
    kind = bundle.manifest.kind
    if kind not in names or names[kind] not in bundle.weights:
        raise BundleError(
            f"{directory}: a {kind!r} model has no skip-gram space: name a bundle made by "
            "`segue train skipgram` or `segue train hybrid`"
        )
    vectors = unit(bundle.weights[names[kind]].float())[1:].numpy()
    known = np.flatnonzero(np.abs(vectors).sum(1))
    plays = bundle.weights["popularity"][1:].float().numpy()
    everyone = Targets(
        SKIPGRAM, bundle.vocabulary.song_ids, vectors, plays, bundle.manifest.version
    )
    return everyone.take(known)


def factor_targets(log: PlayLog, config: FactorsConfig, *, seed: int = 0) -> Targets:
    """Factorise a play log, a song's vector being its side of it; FactorsError if it is empty."""
    counts, song_ids = play_counts(log)
    factors = factorise(counts, config, seed=seed)
    everyone = np.arange(len(song_ids))
    squares, products = error_terms(counts, factors.listeners, everyone, config)
    plays = np.asarray(counts.sum(0), np.float32).ravel()
    return Targets(FACTORS, song_ids, factors.songs, plays, squares=squares, products=products)


def play_counts(log: PlayLog) -> tuple[csr_matrix, list[str]]:
    """Count how often each listener played each song, float32 [U, I], and name the songs."""
    plays = log.plays
    weights = plays["count"].to_numpy() if "count" in plays.columns else np.ones(plays.height)
    rows = plays["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    columns = plays["song_id"].rank("dense").to_numpy().astype(np.int64) - 1
    song_ids = plays["song_id"].unique().sort().to_list()
    shape = (int(rows.max(initial=-1)) + 1, len(song_ids))
    return csr_matrix((weights.astype(np.float32), (rows, columns)), shape=shape), song_ids
