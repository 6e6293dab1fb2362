"""Slices of predictions: where models are right, by answer, position and popularity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segue.models.data.ragged import Ragged
from segue.offline.datasets.sessions import Predictions

Slices = Mapping[str, Mapping[str, NDArray[np.bool_]]]
"""By what predictions are parted, the parts by name, and a mask [P] for each."""

POSITIONS = {"1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6-10": (6, 10), "11+": (11, None)}
HEAD, TAIL = 1 / 3, 2 / 3  # of all plays, the most played songs first


def slices(predictions: Predictions, play_counts: NDArray[np.float32]) -> Slices:
    """Part the predictions in four ways; parts without any are left out.

    play_counts: in training, by catalogue number, float32 [V + 1].
    """
    found = {
        "answer": _by_answer(predictions),
        "position": _by_position(predictions),
        "popularity": _by_popularity(predictions.answers, play_counts),
        "training_plays": _by_training_plays(predictions.answers, play_counts),
    }
    return {
        way: {name: mask for name, mask in parts.items() if mask.any()}
        for way, parts in found.items()
    }


def _by_answer(predictions: Predictions) -> dict[str, NDArray[np.bool_]]:
    """In the session; else in what is known of the listener's history; else new, or unknown."""
    answers = predictions.answers
    in_session = _in_row(predictions.contexts.sessions, answers)
    in_history = _in_row(predictions.contexts.histories, answers) & ~in_session
    return {
        "in the session": in_session,
        "in the listener's history": in_history,
        "new to the listener": ~in_session & ~in_history & (answers > 0),
        "not in the catalogue": answers == 0,
    }


def _in_row(rows: Ragged, answers: NDArray[np.int64]) -> NDArray[np.bool_]:
    same = rows.values == np.repeat(answers, rows.lengths)
    return np.bincount(rows.row_numbers()[same], minlength=len(rows)) > 0


def _by_position(predictions: Predictions) -> dict[str, NDArray[np.bool_]]:
    positions = predictions.positions
    parts = {"0": positions == 0}
    for name, (low, high) in POSITIONS.items():
        parts[name] = (positions >= low) & (positions <= (high or positions.max(initial=low)))
    return parts


def _by_popularity(
    answers: NDArray[np.int64], play_counts: NDArray[np.float32]
) -> dict[str, NDArray[np.bool_]]:
    """Part by the answer's song: those of the first third of all plays, the next, the last.

    Songs are taken from the most played on; those of equal counts stay together.
    """
    counts, which = np.unique(play_counts[1:], return_inverse=True)
    plays = np.bincount(which, weights=play_counts[1:], minlength=len(counts))
    before = plays[::-1].cumsum()[::-1] - plays  # plays of all songs with more of them
    share = np.concatenate([[1.0], (before / max(plays.sum(), 1))[which]])[answers]
    known = answers > 0
    return {
        "head": known & (share < HEAD),
        "mid": known & (share >= HEAD) & (share < TAIL),
        "tail": known & (share >= TAIL),
    }


def _by_training_plays(
    answers: NDArray[np.int64], play_counts: NDArray[np.float32]
) -> dict[str, NDArray[np.bool_]]:
    """Part by how often the answer was played in training, each part twice as wide."""
    counts = np.where(answers > 0, play_counts[answers], 0).astype(np.int64)
    octave = np.log2(np.maximum(counts, 1)).astype(np.int64)
    parts = {"0": counts == 0}
    for power in range(int(octave.max(initial=0)) + 1):
        low, high = 2**power, 2 ** (power + 1) - 1
        name = str(low) if low == high else f"{low}-{high}"
        parts[name] = (counts > 0) & (octave == power)
    return parts
