"""Session neighbours: by hand on tiny logs, and beside a plain version on random ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.session_knn import NeighboursConfig, SessionNeighbours
from tests.support.toy import log_of

SONGS = Vocabulary("abcdef")
PLAIN = NeighboursConfig(length_power=0.0)


def named(log: SessionLog, config: NeighboursConfig, session: list[int]) -> dict[int, float]:
    found = SessionNeighbours.fit(log, SONGS, config).sparse_scores(
        Contexts.of(Ragged.of([session]))
    )
    return dict(zip(found.items.tolist(), found.scores.tolist(), strict=True))


def test_v_sknn_by_hand():
    # Of the session a b the song b weighs 2/2 and a weighs 1/2. The session a c shares a alone:
    # similarity 1/2, and its songs weigh by a's place, 1/2: 1/4. The session b d e shares b:
    # 1 * 1. The session d f shares nothing.
    log = log_of([[1, 3], [2, 4, 5], [4, 6]])
    assert named(log, PLAIN, [1, 2]) == {1: 0.25, 3: 0.25, 2: 1.0, 4: 1.0, 5: 1.0}
    # With the cosine's share of it, similarities are over sqrt 2 and sqrt 3.
    by_length = named(log, replace(PLAIN, length_power=0.5), [1, 2])
    assert by_length[3] == pytest.approx(0.25 / math.sqrt(2))
    assert by_length[5] == pytest.approx(1 / math.sqrt(3))


def test_v_stan_by_hand():
    # e^-1 is what a weighs in the session a b when songs fade by one place, b weighs 1. The
    # neighbour c a b d shares both: 1 + e^-1; b, played last, is where distances begin: d is
    # one place after it, c two before.
    config = NeighboursConfig(
        place_decay=1, anchor_decay=np.inf, length_power=0, after_decay=1, before_decay=2
    )
    found = named(log_of([[3, 1, 2, 4]]), config, [1, 2])
    similarity = 1 + math.exp(-1)
    assert found[2] == pytest.approx(similarity)
    assert found[4] == pytest.approx(similarity * math.exp(-1))
    assert found[3] == pytest.approx(similarity * math.exp(-2 / 2))
    forward = named(log_of([[3, 1, 2, 4]]), replace(config, before_weight=0.5), [1, 2])
    assert forward[3] == pytest.approx(similarity * math.exp(-1) / 2)
    assert forward[4] == found[4]


def test_late_neighbours_count_more():
    found = named(log_of([[1, 2], [1, 3]]), replace(PLAIN, half_life=0.5), [1])
    assert found[2] == 0.5
    assert found[3] == 1.0


def test_rare_songs_count_more_by_their_idf():
    # Song c is in one of three sessions, b in two: log(1 + 3) and log(1 + 3/2).
    log = log_of([[1, 2], [1, 3], [2, 4]])
    found = named(log, replace(PLAIN, answer_idf=1), [1])
    assert found[3] == pytest.approx(math.log(4))
    assert found[2] == pytest.approx(math.log(2.5))
    shared = named(log, replace(PLAIN, match_idf=1), [2])
    assert shared[4] == pytest.approx(math.log(2.5))


def test_only_the_most_similar_speak_and_of_equals_the_newest():
    log = log_of([[1, 3], [1, 4], [1, 5], [1, 2, 6]])
    assert set(named(log, replace(PLAIN, neighbours=1), [1, 2])) == {1, 2, 6}
    assert set(named(log, replace(PLAIN, neighbours=2), [1, 2])) == {1, 2, 6, 5}


def test_only_the_newest_sessions_of_a_song_are_looked_at():
    log = log_of([[1, 3], [1, 4], [1, 5]])
    assert set(named(log, replace(PLAIN, newest=2), [1])) == {1, 4, 5}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"neighbours": 0}, "neighbours must be >= 1, got 0"),
        ({"half_life": 0.0}, "half_life must be > 0, got 0.0"),
        ({"before_weight": -1.0}, "before_weight must be >= 0, got -1.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        NeighboursConfig(**change)


def plainly(log: SessionLog, config: NeighboursConfig, session: list[int]) -> dict[int, float]:
    """Score as the equations say, one session and one song after the other."""
    past = [each.tolist() for each in log.sessions]

    def fade(age: int, decay: float) -> float:
        return (len(session) - age) / len(session) if decay == 0 else math.exp(-age / decay)

    def idf(song: int) -> float:
        return math.log1p(len(past) / max(sum(song in each for each in past), 1))

    ages = {song: len(session) - 1 - place for place, song in enumerate(session)}
    similar = []
    for number, other in enumerate(past):
        holders = {
            song: [n for n, each in enumerate(past) if song in each][-config.newest :]
            for song in ages
        }
        shared = [song for song in set(ages) & set(other) if number in holders[song]]
        if shared:
            recency = 0.5 ** ((len(past) - 1 - number) / len(past) / config.half_life)
            matches = sum(
                fade(ages[s], config.place_decay) * idf(s) ** config.match_idf for s in shared
            )
            strength = recency / len(other) ** config.length_power * matches
            similar.append((strength, number, min(shared, key=ages.__getitem__)))
    scores: dict[int, float] = {}
    for strength, number, last in sorted(similar, reverse=True)[: config.neighbours]:
        other = past[number]
        begin = len(other) - 1 - other[::-1].index(last)
        for place, song in enumerate(other):
            away = place - begin
            distance = (
                math.exp(-away / config.after_decay)
                if away >= 0
                else config.before_weight * math.exp(away / config.before_decay)
            )
            value = strength * fade(ages[last], config.anchor_decay) * distance
            if value == 0:
                continue
            scores[song] = scores.get(song, 0.0) + value * idf(song) ** config.answer_idf
    return scores


sessions = st.lists(st.integers(1, 6), min_size=1, max_size=6)
configs = st.builds(
    NeighboursConfig,
    newest=st.integers(1, 5),
    neighbours=st.just(1000),
    place_decay=st.sampled_from([0.0, 1.5]),
    anchor_decay=st.sampled_from([0.0, 2.0, math.inf]),
    half_life=st.sampled_from([0.3, math.inf]),
    length_power=st.sampled_from([0.0, 0.5]),
    after_decay=st.sampled_from([1.0, math.inf]),
    before_decay=st.sampled_from([2.0, math.inf]),
    before_weight=st.sampled_from([0.0, 0.25, 1.0]),
    match_idf=st.sampled_from([0.0, 1.0]),
    answer_idf=st.sampled_from([0.0, 1.0]),
)


@settings(max_examples=100)
@given(st.lists(sessions, min_size=1, max_size=8), sessions, configs)
def test_compiled_and_plain_neighbours_agree(past, session, config):
    log = log_of(past)
    found, expected = named(log, config, session), plainly(log, config, session)
    assert found == pytest.approx(expected, rel=1e-4)


def test_few_neighbours_agree_too():
    rng = np.random.default_rng(4)
    config = NeighboursConfig(neighbours=3, place_decay=1.3, half_life=0.2)
    for _ in range(30):
        log = log_of([rng.integers(1, 7, rng.integers(1, 6)).tolist() for _ in range(12)])
        session = rng.integers(1, 7, 4).tolist()
        expected = plainly(log, config, session)
        assert named(log, config, session) == pytest.approx(expected, rel=1e-4)
