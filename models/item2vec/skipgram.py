"""Skip-gram song vectors: songs played in similar contexts get similar vectors.

A session is read as a sentence and a song as a word of it (Mikolov et al., 2013). Every song
has two vectors, one as the centre (u) and one as the context (v); they
are learned by telling songs o within `window` places of a song s from songs n drawn by chance:

    maximise  log sigmoid(u_s v_o) + sum over `negatives` drawn n of log sigmoid(-u_s v_n)

where n is drawn by (plays of n) ^ ns_exponent. The text setting 0.75 draws the hits; for songs
a negative exponent, which draws the rare ones, has done far better (Caselles-Dupré et al., 2018).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segue.models.data.ragged import Ragged
from segue.models.errors import SegueError
from segue.models.validation import require_at_least

LONGEST_SENTENCE = 10_000  # gensim drops what stands behind, and says nothing
JOB_PLAYS = 10_000
JOBS_PER_EPOCH = 20  # the learning rate falls from job to job, so that small logs need some
READOUTS = ("cosine", "product")
INT32 = 1 << 31

# Its warnings are advice on the size of jobs and on learning rates, both of which are chosen here.
logging.getLogger("gensim.models.word2vec").setLevel(logging.ERROR)


class SkipGramError(SegueError):
    """Sessions that no song vectors can be learned from."""


@dataclass(frozen=True)
class SkipGramConfig:
    """How song vectors are learned, and how they are read as a model of the next song.

    window: songs before and after that are learned from; with `shrink_windows` a size from 1
        to `window` is drawn at each song, so that near songs count more.
    sample: songs with more plays than this many average songs are passed over at random, in
        part, which keeps the hits from filling every window; 0 never. Counted in average songs,
        as a share of all plays would mean something else in every catalogue.
    min_count: songs with fewer plays get no vector.
    readout: score songs by the cosine of their u with the session's, or by the product of the
        session's u with their v. decay: what a play of the session weighs in its u, relative
        to the play after it; 0 takes the last song alone, 1 the plain mean.
    """

    dim: int = 128
    window: int = 4
    epochs: int = 70
    negatives: int = 5
    ns_exponent: float = -0.5
    sample: float = 1.0
    shrink_windows: bool = True
    learning_rate: float = 0.025
    min_learning_rate: float = 1e-4
    min_count: int = 1
    readout: str = "cosine"
    decay: float = 0.0

    def __post_init__(self) -> None:
        require_at_least(self, 1, "dim", "window", "epochs", "negatives", "min_count")
        if not 0 < self.min_learning_rate <= self.learning_rate:
            raise ValueError(
                "learning rates must be 0 < min_learning_rate <= learning_rate, got "
                f"{self.min_learning_rate!r} and {self.learning_rate!r}"
            )
        if self.sample < 0:
            raise ValueError(f"sample must be >= 0, got {self.sample!r}")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay must lie in [0, 1], got {self.decay!r}")
        if self.readout not in READOUTS:
            raise ValueError(f"readout must be {' or '.join(READOUTS)}, got {self.readout!r}")


@dataclass(frozen=True)
class SkipGram:
    """Song vectors, and all that is needed to go on learning them.

    inputs, outputs: float32 [V + 1, D], u and v of every song; row 0 (padding) is zero.
    counts: int64 [V + 1], plays learned from so far. epochs: passes over sessions so far.
    learning_rate: where the last pass left it.
    """

    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    counts: NDArray[np.int64]
    epochs: int
    learning_rate: float

    def __len__(self) -> int:
        """Count the songs."""
        return len(self.counts) - 1


def train_skipgram(
    sessions: Ragged,
    songs: int,
    config: SkipGramConfig,
    *,
    seed: int = 0,
    workers: int = 1,
    on_plays: Callable[[int], None] = lambda plays: None,
) -> SkipGram:
    """Learn the vectors of songs 1 to `songs`, each of which must occur in `sessions`.

    One worker gives the same vectors from the same input, bit by bit. More are faster and
    write to the same matrices unasked, so that no two runs are alike. on_plays: receives, from
    time to time, how many plays are done, of all epochs together. SkipGramError where nothing
    can be learned.
    """
    return continue_training(
        _nothing(config.dim),
        sessions,
        songs,
        config,
        seed=seed,
        workers=workers,
        on_plays=on_plays,
    )


def continue_training(
    vectors: SkipGram,
    sessions: Ragged,
    songs: int,
    config: SkipGramConfig,
    *,
    seed: int = 0,
    workers: int = 1,
    on_plays: Callable[[int], None] = lambda plays: None,
    counted: int = 0,
) -> SkipGram:
    """Go on learning from further sessions, in which songs up to number `songs` may be new.

    Old songs begin where they were left, new ones near zero. Negatives are drawn, and frequent
    songs passed over, by all plays so far. counted: the last so many plays of `sessions` are in
    the counts of `vectors` by now, and are learned from again. The learning rate starts anew at
    `config.learning_rate` and falls to `config.min_learning_rate` over `config.epochs`: to
    leave old songs nearly where they are, give fewer epochs or a lower rate. workers,
    on_plays and SkipGramError as for `train_skipgram`; `vectors` is left as it was.
    """
    counts = _total_counts(vectors, sessions, songs, counted)
    if vectors.inputs.shape[1] != config.dim:
        raise ValueError(f"dim must stay {vectors.inputs.shape[1]}, got {config.dim!r}")
    plays = len(sessions.values)
    # Other chance than in the passes before, or the same places would be drawn again.
    model = _untrained(config, counts, plays, seed + vectors.epochs, workers)
    inputs, outputs = model.wv.vectors, model.syn1neg
    inputs[: len(vectors)] = vectors.inputs[1:]
    outputs[: len(vectors)] = vectors.outputs[1:]
    sentences = _Sentences(sessions, on_plays)
    model.train(
        sentences,
        total_words=plays,
        epochs=config.epochs,
        start_alpha=config.learning_rate,
        end_alpha=config.min_learning_rate,
    )
    return SkipGram(
        _with_padding(inputs),
        _with_padding(outputs),
        counts,
        vectors.epochs + config.epochs,
        float(model.min_alpha_yet_reached),
    )


def _nothing(dim: int) -> SkipGram:
    empty = np.zeros((1, dim), np.float32)
    return SkipGram(empty, empty, np.zeros(1, np.int64), 0, 0.0)


def _total_counts(
    vectors: SkipGram, sessions: Ragged, songs: int, counted: int
) -> NDArray[np.int64]:
    """Add the plays of `sessions` but the last `counted` to those so far, int64 [songs + 1]."""
    if not (sessions.lengths > 1).any():
        raise SkipGramError(
            f"none of {len(sessions):,} sessions has two songs, so that no song is heard near "
            "another: give a longer play log, or a lower min_count"
        )
    assert songs >= len(vectors), f"{len(vectors)} songs have vectors, only {songs} are given"
    highest = int(sessions.values.max())
    assert highest <= songs, f"sessions hold song {highest} of {songs}"
    new = sessions.values[: len(sessions.values) - counted]
    counts = np.bincount(new, minlength=songs + 1)
    counts[: len(vectors) + 1] += vectors.counts
    assert counts[0] == 0, "sessions hold padding"
    if not counts[1:].all():
        missing = int((counts[1:] == 0).argmax()) + 1
        raise SkipGramError(f"song number {missing} of {songs} is never played: leave it out")
    if songs < 2:
        raise SkipGramError("the log holds a single song, which is near to none: give more plays")
    return counts


def _untrained(
    config: SkipGramConfig, counts: NDArray[np.int64], plays: int, seed: int, workers: int
) -> Any:
    """Make a gensim model whose row i is item number i + 1, whatever the counts."""
    # Only here, as it takes a second that commands which learn nothing need not wait.
    from gensim.models import Word2Vec

    share = config.sample / (len(counts) - 1)
    model = Word2Vec(
        vector_size=config.dim,
        window=config.window,
        shrink_windows=config.shrink_windows,
        sg=1,
        hs=0,
        negative=config.negatives,
        ns_exponent=config.ns_exponent,
        # A share of the plays; from 1 on gensim would take it for a count.
        sample=share if share < 1 else 0.0,
        min_count=1,
        sorted_vocab=0,
        seed=seed % INT32,
        workers=workers,
        batch_words=max(1, min(JOB_PLAYS, plays // (JOBS_PER_EPOCH * workers))),
    )
    # From counts, never by build_vocab(update=True): that sorts nothing anew and draws
    # negatives by the old plays until they are replaced, where here all follows from the sum.
    model.build_vocab_from_freq(dict(enumerate(counts[1:].tolist(), start=1)))
    return model


def _with_padding(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((1, rows.shape[1]), np.float32), rows])


class _Sentences:
    """Sessions as gensim takes them, again for every epoch."""

    def __init__(self, sessions: Ragged, on_plays: Callable[[int], None]) -> None:
        self._sessions = sessions
        self._on_plays = on_plays
        self._plays = 0

    def __iter__(self) -> Iterator[list[int]]:
        """Return each session's item numbers, those of a very long one in pieces."""
        for number, session in enumerate(self._sessions):
            for start in range(0, len(session), LONGEST_SENTENCE):
                yield session[start : start + LONGEST_SENTENCE].tolist()
            self._plays += len(session)
            if number % 500 == 0:
                self._on_plays(self._plays)
        self._on_plays(self._plays)
