"""The repeat gate, in worlds where it is known who plays what again."""

from __future__ import annotations

import numpy as np
import pytest

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.repeat_gate import CONSTANTS, FEATURES, PlayedSongs, RepeatGate
from segue.models.neighborhood.score_union import positions_of, unite_scores
from segue.models.neighborhood.sequential_rules import RulesConfig
from segue.models.retrieval.sparse_scores import SparseScores
from segue.offline.training.blend import BlendConfig, fit_gated
from tests.support.toy import log_of


def contexts_of(sessions: list[list[int]], histories: list[list[int]] | None = None) -> Contexts:
    return Contexts.of(Ragged.of(sessions), Ragged.of(histories) if histories else None)


def feature(played: PlayedSongs, item: int, name: str) -> float:
    row = played.items.tolist().index(item)
    value: float = played.features()[row, FEATURES.index(name)]
    return value


def test_what_is_known_of_songs_by_hand():
    # Before: 1 2 3. Now: 4 1 4. After an earlier play of 4, the last song, came 1.
    played = PlayedSongs.of(contexts_of([[4, 1, 4]], [[1, 2, 3]]))
    assert dict(zip(played.items.tolist(), played.ages.tolist(), strict=True)) == {
        1: 1,
        2: 4,
        3: 3,
        4: 0,
    }
    assert feature(played, 4, "in the session: played last") == 1
    assert feature(played, 4, "in the session: log of its plays") == pytest.approx(np.log(2))
    assert feature(played, 1, "in the session: has followed the last song") == 1
    assert feature(played, 4, "in the session: has followed the last song") == 0
    assert feature(played, 4, "in the session: share of repeats") == pytest.approx(1 / 3)
    assert feature(played, 4, "in the session: the last play was a repeat") == 1
    assert feature(played, 2, "in the history: log(1 + plays after its last)") == pytest.approx(
        np.log(5)
    )
    assert feature(
        played, 2, "in the history: share of the session that is in it"
    ) == pytest.approx(1 / 3)
    assert feature(played, 2, "in the history: the last song is in it") == 0
    of_session, of_history = (feature(played, 1, name) for name in CONSTANTS)
    assert (of_session, of_history) == (1, 0), "a song of both is the session's"


def test_of_listeners_who_played_nothing_nothing_is_known():
    played = PlayedSongs.of(contexts_of([[], [2]]))
    assert played.offsets.tolist() == [0, 0, 1]
    assert played.features().shape == (1, len(FEATURES))


def test_an_empty_session_still_has_a_history():
    played = PlayedSongs.of(contexts_of([[]], [[2, 1, 2]]))
    assert feature(played, 2, "in the history") == 1
    assert feature(played, 1, "in the history: has followed the last song") == 1
    assert np.isfinite(played.features()).all()


def test_who_plays_in_circles_is_known_to_go_on():
    rng = np.random.default_rng(5)
    sessions, answers = [], []
    for _ in range(600):
        songs = rng.permutation(np.arange(1, 51))
        if rng.random() < 0.5:  # three songs over and over
            length = int(rng.integers(4, 9))
            sessions.append([int(songs[place % 3]) for place in range(length)])
            answers.append(int(songs[length % 3]))
        else:
            sessions.append(songs[: rng.integers(4, 9)].tolist())
            answers.append(int(songs[20]))
    gate = RepeatGate.fit(contexts_of(sessions), np.array(answers))
    found = gate.probabilities(contexts_of([[7, 8, 9, 7, 8], [7, 8, 9, 6, 5]]))
    circle = dict(zip(found.items[:3].tolist(), found.scores[:3].tolist(), strict=True))
    assert circle[9] > 0.9
    assert found.scores[3:].sum() < 0.1


def test_chances_come_true_as_often_as_they_say():
    rng = np.random.default_rng(6)
    sessions = [rng.permutation(20)[:5] + 1 for _ in range(4000)]
    again = rng.random(4000) < 0.2
    answers = np.where(again, [session[-1] for session in sessions], 25)
    contexts = contexts_of([session.tolist() for session in sessions])
    found = RepeatGate.fit(contexts, answers).probabilities(contexts)
    last = found.scores.reshape(-1, 5)[:, -1]
    assert last.mean() == pytest.approx(again.mean(), abs=0.01)
    assert found.scores.sum() / 4000 == pytest.approx(again.mean(), abs=0.02)


def test_where_nothing_is_repeated_gates_close():
    sessions = [[song, song + 1, song + 2] for song in range(1, 2000)]
    answers = np.arange(4, 2003)
    gate = RepeatGate.fit(contexts_of(sessions), answers)
    assert gate.probabilities(contexts_of([[5, 9, 2]])).scores.sum() < 0.01


def test_songs_of_the_past_come_back_by_the_history():
    rng = np.random.default_rng(7)
    histories = [rng.permutation(30)[:6] + 1 for _ in range(500)]
    answers = np.array([history[2] for history in histories])
    contexts = contexts_of([[31]] * 500, [history.tolist() for history in histories])
    gate = RepeatGate.fit(contexts, answers)
    found = gate.probabilities(contexts)
    places = positions_of(answers, found.items, found.offsets)
    assert found.scores.sum() / 500 == pytest.approx(1, abs=0.1)
    assert (found.scores[places] > 1 / 7).mean() > 0.9
    assert gate.weights[FEATURES.index("in the history")] != 0


def test_the_gated_model_puts_repeats_where_they_belong():
    # In every session a song is played twice in a row, and then comes the next pair.
    rng = np.random.default_rng(8)
    rows = [np.repeat(rng.permutation(12)[:4] + 1, 2).tolist() for _ in range(200)]
    songs = Vocabulary(map(str, range(12)))
    model = fit_gated(log_of(rows), songs, BlendConfig((RulesConfig(),)))
    order = model.scores(contexts_of([[3], [3, 3]]))[:, 1:].argsort(1, descending=True) + 1
    assert order[0, 0] == 3
    assert order[1].tolist().index(3) == 11


def test_sets_of_songs_by_hand():
    first = SparseScores(np.array([1, 2, 3]), np.float32([1, 2, 3]), np.array([0, 2, 3]))
    second = SparseScores(np.array([2, 4]), np.float32([5, 6]), np.array([0, 1, 2]))
    barred = SparseScores(np.array([4]), np.float32([1]), np.array([0, 0, 1]))
    together = unite_scores([first, second], barred, songs=4)
    assert together.items.tolist() == [1, 2, 3]
    assert together.scores.tolist() == [[1, 0], [2, 5], [3, 0]]
    assert together.offsets.tolist() == [0, 2, 3]
    assert positions_of(np.array([2, 2]), first.items, first.offsets).tolist() == [1, -1]
