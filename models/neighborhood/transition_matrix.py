"""Song-to-song scores: a sparse matrix whose rows are summed over a session."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.ops.jit import Scratch, compiled, with_room
from segue.models.retrieval.sparse_scores import SparseNextSong, SparseScores

LONGEST_MEMORY = 50
"""Plays of a session that count: those further back weigh next to nothing."""


@dataclass(frozen=True)
class Relations:
    """A sparse matrix: the scores of songs by a song, or by a run of songs, in each row.

    offsets: int64 [R + 1], where each row begins; items: int32 [N]; values: float32 [N], > 0.
    songs: V, the highest item number.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    values: NDArray[np.float32]
    songs: int

    @classmethod
    def of(cls, matrix: sparse.csr_matrix, most: int) -> Self:
        """Keep the `most` greatest values of each row, [R, V + 1]; of equal ones the first."""
        matrix = matrix.tocsr()
        matrix.sort_indices()
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        order = np.lexsort((-matrix.data, rows))
        position = np.arange(len(order)) - matrix.indptr[:-1][rows]
        kept = order[position < most]
        offsets = np.zeros(matrix.shape[0] + 1, np.int64)
        np.cumsum(np.minimum(np.diff(matrix.indptr), most), out=offsets[1:])
        return cls(
            offsets,
            matrix.indices[kept].astype(np.int32),
            matrix.data[kept].astype(np.float32),
            matrix.shape[1] - 1,
        )

    def sums(self, rows: Ragged, weights: NDArray[np.float32]) -> SparseScores:
        """Add up rows of the matrix, several for each context.

        rows: row numbers for each of B contexts; weights: float32 [N], what each of them
        counts.
        """
        return SparseScores(
            *_sums(
                self.offsets,
                self.items,
                self.values,
                self._total.array,
                rows.values,
                rows.offsets,
                weights,
            )
        )

    @cached_property
    def _total(self) -> Scratch[np.float32]:
        return Scratch(self.songs + 1, np.float32)


class RelatedSongs(SparseNextSong):
    """Scores songs by the rows of the session's songs, the last one most."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        popularity: NDArray[np.float32],
        relations: Relations,
        memory: float,
    ) -> None:
        """popularity: plays, float32 [V + 1]. relations: of V + 1 rows.

        memory: what a play counts, relative to the one after it; 0: the last one alone.
        """
        super().__init__(vocabulary, popularity)
        self.relations = relations
        self.memory = memory

    def sparse_scores(self, contexts: Contexts) -> SparseScores:
        """Score the related songs."""
        recent = contexts.sessions.last(LONGEST_MEMORY if self.memory else 1)
        return self.relations.sums(recent, np.float32(self.memory) ** ages(recent))


def ages(sessions: Ragged) -> NDArray[np.int64]:
    """Count the plays after each, int64 [N].

    >>> ages(Ragged.of([[5, 6, 7], [8]])).tolist()
    [2, 1, 0, 0]
    """
    return np.repeat(sessions.offsets[1:], sessions.lengths) - 1 - np.arange(len(sessions.values))


@compiled
def _sums(
    matrix_offsets: NDArray[np.int64],
    matrix_items: NDArray[np.int32],
    matrix_values: NDArray[np.float32],
    total: NDArray[np.float32],
    rows: NDArray[np.int64],
    offsets: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Add up; `total`, float32 [V + 1], is all 0 again after each context."""
    found = np.empty(1024, np.int64)
    found_scores = np.empty(1024, np.float32)
    found_offsets = np.zeros(len(offsets), np.int64)
    used = 0
    for context in range(len(offsets) - 1):
        first = used
        for position in range(offsets[context], offsets[context + 1]):
            begin, end = matrix_offsets[rows[position]], matrix_offsets[rows[position] + 1]
            found = with_room(found, used, end - begin)
            for entry in range(begin, end):
                item, value = matrix_items[entry], weights[position] * matrix_values[entry]
                if value == 0:
                    continue
                if total[item] == 0:
                    found[used] = item
                    used += 1
                total[item] += value
        found_scores = with_room(found_scores, first, used - first)
        for entry in range(first, used):
            found_scores[entry] = total[found[entry]]
            total[found[entry]] = 0
        found_offsets[context + 1] = used
    return found[:used].copy(), found_scores[:used].copy(), found_offsets
