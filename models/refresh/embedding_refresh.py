"""Skip-gram vectors that go on learning while others go on using them.

Continued training turns the whole space a little, as nothing holds it but what it was: the
products it learns stay the same under any rotation. Whoever uses single numbers of the vectors,
or compares those of today with those of last week, would see every song move. So the new space
is turned back onto the old one by the rotation R that brings the songs both know nearest,

    R = argmin over orthogonal R of sum over anchors i |R' n_i - o_i|^2 = U V',  N'O = U S V'

(Schönemann, 1966), u and v alike, which leaves all products as they are. What is left of the
movement is the songs' own, and is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segue.models.data.ragged import Ragged
from segue.models.item2vec.skipgram import SkipGram, SkipGramConfig, continue_training
from segue.models.ops.vectors import unit_rows
from segue.models.refresh.embedding_init import CoOccurrences
from segue.models.validation import require_above


@dataclass(frozen=True)
class RefreshConfig:
    """How vectors go on. epochs, learning_rate: of continued training, the rate staying the same.

    It begins where the last refresh left it and neither rises nor falls: each refresh is one
    more stretch of the same slow learning. anchors: how many of the songs most played hold the
    space.
    """

    epochs: int = 5
    learning_rate: float = 0.005
    anchors: int = 2_000

    def __post_init__(self) -> None:
        require_above(self, 0, "epochs", "learning_rate", "anchors")


@dataclass(frozen=True)
class Drift:
    """How far the anchors moved, once the space was turned back.

    cosine, least_cosine: mean, and 5th percentile, of each with itself before. length: mean
    of its length over that before. turned: mean cosine without turning back.
    """

    cosine: float
    least_cosine: float
    length: float
    turned: float


@dataclass(frozen=True)
class Content:
    """Where N new songs stand by their sound, unit vectors, float32 [N, D], 0 where nobody knows.

    plays: after which co-occurrence weighs as much.
    """

    vectors: NDArray[np.float32]
    plays: float

    def blended(self, means: NDArray[np.float32], played: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return their start between content and co-occurring songs, float32 [N, D], by plays, [N].

        As ContentSongs has it while a song has no row; as long as the rows of `means`.
        """
        weight = (played / (played + self.plays))[:, None]
        both = unit_rows((1 - weight) * self.vectors + weight * unit_rows(means))
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        known = self.vectors.any(1, keepdims=True)
        blended: NDArray[np.float32] = np.where(known, both * lengths, means).astype(np.float32)
        return blended


def refresh_vectors(
    vectors: SkipGram,
    new: Ragged,
    old: Ragged,
    songs: int,
    config: SkipGramConfig,
    refresh: RefreshConfig,
    *,
    kept: float = 1.0,
    content: Content | None = None,
    seed: int = 0,
) -> tuple[SkipGram, Drift]:
    """Go on learning from `new` sessions mixed with `old` ones, in the space that there was.

    songs: how many songs there are now; those that had no vector begin among co-occurring songs.
    old: sessions whose plays of known songs are counted by now. kept: the share of each count
    that is left after the time that has gone by, so that what was popular once does not stay so
    for ever. content: what is known of new songs beside their plays.
    SkipGramError where nothing can be learned.
    """
    counts = np.maximum((vectors.counts * kept).round().astype(np.int64), 1)
    counts[0] = 0
    both = new.followed_by(old)
    co_occurrences = CoOccurrences.of(both, counts, songs)
    inputs, known = co_occurrences.extend(vectors.inputs), len(counts)
    if content is not None:
        inputs[known:] = content.blended(inputs[known:], both.counts(songs)[known:])
    begun = replace(
        vectors,
        inputs=inputs,
        outputs=co_occurrences.extend(vectors.outputs),
        counts=np.concatenate([counts, old.counts(songs)[known:]]),
    )
    slow = replace(
        config,
        epochs=refresh.epochs,
        learning_rate=refresh.learning_rate,
        min_learning_rate=refresh.learning_rate,
    )
    learned = continue_training(begun, both, songs, slow, seed=seed, counted=len(old.values))
    return turn_back(learned, vectors, refresh.anchors)


def turn_back(learned: SkipGram, before: SkipGram, anchors: int) -> tuple[SkipGram, Drift]:
    """Turn a space onto the one before it by its `anchors` songs most played; tell the drift."""
    held = np.argsort(-before.counts[1:], kind="stable")[:anchors] + 1
    now, then = unit_rows(learned.inputs[held]), unit_rows(before.inputs[held])
    left, _, right = np.linalg.svd(now.T.astype(np.float64) @ then)
    rotation = (left @ right).astype(np.float32)
    turned = replace(learned, inputs=learned.inputs @ rotation, outputs=learned.outputs @ rotation)
    cosines = ((now @ rotation) * then).sum(1)
    lengths = np.linalg.norm(learned.inputs[held], axis=1)
    lengths_before = np.maximum(np.linalg.norm(before.inputs[held], axis=1), 1e-12)
    return turned, Drift(
        float(cosines.mean()),
        float(np.quantile(cosines, 0.05)),
        float((lengths / lengths_before).mean()),
        float((now * then).sum(1).mean()),
    )
