"""One pass of a model: ranks, lists and sampled ranks; and the kinds of predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.metrics import UNRANKED
from segue.offline.datasets.sessions import Predictions
from segue.offline.evaluation.sampled import TooFewSongs, draw_negatives
from segue.offline.evaluation.slices import slices
from segue.offline.metrics import full_ranking
from segue.offline.metrics.full_ranking import rank_predictions, sampled_ranks

CATALOGUE = Vocabulary("abcde")


class Fixed:
    """Scores the songs of its own vocabulary alike everywhere, but its session's last at 10."""

    def __init__(self, scores: dict[str, float]) -> None:
        self.vocabulary = Vocabulary(scores)
        self._scores = torch.tensor([99.0, *scores.values()])
        self.seen: list[list[int]] = []

    def scores(self, contexts: Contexts) -> Tensor:
        rows = self._scores.repeat(len(contexts), 1)
        for row, session in enumerate(contexts.sessions):
            self.seen.append(session.tolist())
            if len(session):
                rows[row, session[-1]] = 10.0
        return rows


def predictions(*rows: tuple[str, str, str]) -> Predictions:
    """Make predictions of (session, history, answer), songs of CATALOGUE or "?"."""
    sessions, histories = (Ragged.of([CATALOGUE.numbers(r[i]) for r in rows]) for i in (0, 1))
    answers = np.array([CATALOGUE.number(row[2]) or 0 for row in rows], dtype=np.int64)
    numbers = np.arange(len(rows))
    lengths = np.array([len(row[0]) for row in rows], dtype=np.int64)
    return Predictions(Contexts.of(sessions, histories), answers, numbers, numbers, lengths)


def test_a_model_is_asked_and_answers_in_its_own_numbers():
    model = Fixed({"e": 1.0, "c": 3.0, "a": 2.0, "x": -1.0})
    found = rank_predictions(
        model, predictions(("ab", "", "c"), ("c", "", "e"), ("d", "", "d")), CATALOGUE
    )
    assert model.seen == [[3], [2], []]
    assert found.ranks.tolist() == [2, 3, UNRANKED]
    songs = [[CATALOGUE.song(n) if n else "-" for n in row[:4]] for row in found.lists]
    assert songs == [list("ace-"), list("cae-"), list("cae-")], "x is not in the catalogue"
    assert found.scoring_s >= 0
    assert found.sampled_ranks is None


def test_rows_are_judged_alike_in_batches_of_any_size(monkeypatch):
    asked = predictions(*((CATALOGUE.song(n % 5 + 1), "", "e") for n in range(11)))
    model = Fixed(dict(zip("abcde", (1.0, 5, 3, 2, 4), strict=True)))
    whole = rank_predictions(model, asked, CATALOGUE)
    monkeypatch.setattr(full_ranking, "ROWS", 3)
    done: list[int] = []
    parts = rank_predictions(model, asked, CATALOGUE, on_progress=done.append)
    assert whole.ranks.tolist() == parts.ranks.tolist()
    assert np.array_equal(whole.lists, parts.lists)
    assert done == [3, 6, 9, 11]


def test_sampled_ranks_count_ties_and_unknown_answers_against_the_model():
    scores = torch.tensor([[9.0, 0.5, 0.5, 0.7, 0.1, -torch.inf]] * 4)
    answers = np.array([1, 4, 0, 5])
    negatives = np.array([[2, 3], [1, 0], [1, 2], [1, 2]])
    assert sampled_ranks(scores, answers, negatives).tolist() == [3, 2, UNRANKED, UNRANKED]


def test_negatives_are_different_and_unheard():
    asked = predictions(("ab", "c", "d"), ("a", "", "b"))
    for seed in range(20):
        drawn = draw_negatives(asked, 9, 3, seed)
        assert not set(drawn[0]) & {1, 2, 3, 4}
        assert not set(drawn[1]) & {1, 2}
        assert all(len(set(row)) == 3 and 1 <= row.min() <= row.max() <= 9 for row in drawn)


def test_every_unheard_song_is_as_likely_a_negative():
    asked = predictions(*[("b", "", "d")] * 6_000)
    drawn = draw_negatives(asked, 5, 1, seed=1)
    assert np.bincount(drawn[:, 0], minlength=6)[[1, 3, 5]] / 6_000 == pytest.approx(
        [1 / 3] * 3, abs=0.025
    )


def test_where_too_little_is_unheard_a_row_stays_empty_or_all_is_refused():
    asked = predictions(("abcd", "", "e"), ("a", "", "b"))
    assert draw_negatives(asked, 5, 3, seed=0)[0].tolist() == [0, 0, 0]
    with pytest.raises(TooFewSongs, match="nobody has 4 unheard songs left in a catalogue of 5"):
        draw_negatives(asked, 5, 4, seed=0)


def parts(way: str, asked: Predictions, counts: list[float]) -> dict[str, list[int]]:
    found = slices(asked, np.array([0, *counts], dtype=np.float32))[way]
    return {name: np.flatnonzero(mask).tolist() for name, mask in found.items()}


def test_answers_are_old_or_new_to_the_session_the_listener_and_the_catalogue():
    asked = predictions(("ab", "a", "a"), ("ab", "c", "c"), ("ab", "c", "d"), ("ab", "c", "?"))
    assert parts("answer", asked, [1] * 5) == {
        "in the session": [0],
        "in the listener's history": [1],
        "new to the listener": [2],
        "not in the catalogue": [3],
    }


def test_positions_and_popularity_part_what_is_there():
    asked = predictions(("", "a", "a"), ("a", "", "b"), ("abcab", "", "c"), ("a" * 12, "", "e"))
    assert parts("position", asked, [1] * 5) == {"0": [0], "1": [1], "3-5": [2], "11+": [3]}
    # Of 12 plays a has 5, b 3, and c and d as many as each other; e has none.
    counts = [5.0, 3, 2, 2, 0]
    assert parts("popularity", asked, counts) == {"head": [0], "mid": [1], "tail": [2, 3]}
    assert parts("training_plays", asked, counts) == {"0": [3], "2-3": [1, 2], "4-7": [0]}
