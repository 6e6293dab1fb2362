"""Runs of songs and what followed them, by hand and beside a plain version."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.context_tree import ContextTree, ContextTreeConfig
from segue.models.neighborhood.item_knn import ItemNeighboursConfig, similarities
from tests.support.toy import log_of

SONGS = Vocabulary("abcd")


def named(log: SessionLog, session: list[int], config: ContextTreeConfig) -> dict[int, float]:
    found = ContextTree.fit(log, SONGS, config).sparse_scores(Contexts.of(Ragged.of([session])))
    return dict(zip(found.items.tolist(), found.scores.tolist(), strict=True))


def test_the_longest_run_speaks_and_passes_on_what_is_left():
    # a b c, d b a: b was followed by c and by a, after a by c alone. Six plays, of which c is
    # one and a two. Of order 1: (1 - 1/2)/2 each, and 1/2 * 2/2 is passed on to the plays:
    # P1(c) = 1/4 + 1/2 * 1/6 = 1/3, P1(a) = 1/4 + 1/2 * 2/6 = 5/12. Of order 2, after a b:
    # P2(c) = 1/2 + 1/2 * 1/3 = 2/3, P2(a) = 1/2 * 5/12 = 5/24.
    log = log_of([[1, 2, 3], [4, 2, 1]])
    config = ContextTreeConfig(order=2, discount=0.5)
    assert named(log, [2], config) == pytest.approx({3: 1 / 3, 1: 5 / 12})
    assert named(log, [1, 2], config) == pytest.approx({3: 2 / 3, 1: 5 / 24})
    assert named(log, [3, 2], config) == pytest.approx({3: 1 / 3, 1: 5 / 12}), "never seen: b"
    assert named(log, [3], config) == {}, "nothing ever followed c"


def plainly(past: list[list[int]], session: list[int], config: ContextTreeConfig):
    plays = [song for each in past for song in each]
    chances = {song: plays.count(song) / len(plays) for song in plays}
    seen: set[int] = set()
    for length in range(1, min(config.order, len(session)) + 1):
        run = session[-length:]
        after = [
            each[end]
            for each in past
            for end in range(length, len(each))
            if each[end - length : end] == run
        ]
        if not after:
            break
        passed_on = config.discount * len(set(after)) / len(after)
        chances = {
            song: max(after.count(song) - config.discount, 0) / len(after) + passed_on * chance
            for song, chance in chances.items()
        }
        seen |= set(after)
    return {song: chance for song, chance in chances.items() if song in seen}


sessions = st.lists(st.integers(1, 4), min_size=1, max_size=7)
configs = st.builds(
    ContextTreeConfig, order=st.integers(1, 4), discount=st.sampled_from([0.3, 0.8])
)


@settings(max_examples=100)
@given(st.lists(sessions, min_size=1, max_size=6), sessions, configs)
def test_compiled_and_plain_trees_agree(past, session, config):
    assert named(log_of(past), session, config) == pytest.approx(
        plainly(past, session, config), rel=1e-4
    )


def test_item_neighbours_by_hand():
    # a and b are together in one session of a's two and b's one: 1 / (sqrt 2 + 1).
    log = log_of([[1, 2, 2], [1, 3]], listeners=[0, 0])
    similar = similarities(log, 4, ItemNeighboursConfig(shrinkage=1))
    assert similar[1, 2] == similar[2, 1] == pytest.approx(1 / (2**0.5 + 1))
    assert similar[2, 3] == 0
    assert similar[1, 1] == 0
    by_listener = similarities(log, 4, ItemNeighboursConfig(shrinkage=1, listeners=True))
    assert by_listener[2, 3] == pytest.approx(1 / 2), "one listener holds both"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (lambda: ContextTreeConfig(order=0), "order must be >= 1, got 0"),
        (lambda: ContextTreeConfig(discount=1.0), "discount must lie between 0 and 1, got 1.0"),
        (lambda: ItemNeighboursConfig(shrinkage=-1), "shrinkage must be >= 0, got -1"),
        (lambda: ItemNeighboursConfig(memory=2), "memory must lie in"),
    ],
)
def test_settings_that_cannot_be_are_refused(config, said):
    with pytest.raises(ValueError, match=said):
        config()
