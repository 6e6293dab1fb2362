"""The choice of a list: against a naive one, and by examples worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.models.data.catalogue import Catalogue, SongDetails
from segue.models.data.play_metadata import DetailLists
from segue.models.recommenders.base import Request
from segue.models.reranking.rule_engine import DAY_MS, MINUTE_MS, RuleBook
from segue.models.reranking.rules import (
    ArtistRules,
    DiversityRules,
    HeardRules,
    ListRules,
    ReleasedRules,
    SongRules,
    UnheardRules,
)
from segue.models.reranking.selection import (
    BY_HEARD,
    BY_MMR,
    BY_MOST,
    BY_SPACING,
    FELL_SHORT,
    LISTED,
    Candidates,
    Limits,
    choose,
    exclude,
)

NOW_MS = 1_700_000_000_000
NO_VECTORS = np.zeros((1, 1), np.float32)


def candidates(scores, artists=None, released=None, unheard=None, vectors=None):
    count = len(scores)
    return Candidates(
        np.array([scores], np.float32),
        np.zeros((1, count), np.uint8),
        np.array([artists or [0] * count], np.int32),
        np.array([released or [False] * count]),
        np.array([unheard or [False] * count]),
        np.array([vectors or [0] * count], np.int64),
    )


def chosen(given_candidates, length, vectors=NO_VECTORS, **limits):
    rest = {"most": -1, "spacing": 0, "released": 0, "unheard": 0, "mmr": 0.0} | limits
    columns = choose(given_candidates, Limits(length, **rest), vectors)[0].tolist()
    return [column for column in columns if column >= 0]


def naive(scores, artists, released, unheard, cosines, limits):
    """Choose by the words of `choose`, looking at everything anew for every place."""
    picked: list[int] = []
    low, high = min(scores), max(scores)
    while len(picked) < min(limits.length, len(scores)):
        place = len(picked)
        due = [
            traits
            for traits, wanted in ((released, limits.released), (unheard, limits.unheard))
            if wanted * (place + 1) // limits.length > sum(traits[each] for each in picked)
        ]

        def value(column):
            if not limits.mmr:
                return scores[column]
            relevance = (scores[column] - low) / max(high - low, 1e-9)
            nearest = max((cosines[column][each] for each in picked), default=0.0)
            return (1 - limits.mmr) * relevance - limits.mmr * nearest

        fit = []
        for column in set(range(len(scores))) - {*picked}:
            mine = [at for at, each in enumerate(picked) if artists[each] == artists[column] != 0]
            if limits.most >= 0 and len(mine) >= limits.most:
                continue
            if mine and place - mine[-1] - 1 < limits.spacing:
                continue
            fit.append((sum(traits[column] for traits in due), value(column), -column))
        if not fit:
            break
        picked.append(-max(fit)[2])
    return picked


@settings(max_examples=200)
@given(st.data())
def test_lists_are_those_of_the_naive_choice(data):
    count = data.draw(st.integers(1, 14), label="candidates")
    column = lambda values: data.draw(st.lists(values, min_size=count, max_size=count))  # noqa: E731
    scores = [each / 4 for each in column(st.integers(-40, 0))]
    artists, released, unheard = (
        column(st.integers(0, 3)),
        column(st.booleans()),
        column(st.booleans()),
    )
    # Of whole numbers of quarters, so that sums are exact in whatever order.
    vectors = np.array([[0, 0], *(column(st.sampled_from([(1, 0), (0, 1), (-1, 0)])))], np.float32)
    length = data.draw(st.integers(1, 8), label="length")
    limits = Limits(
        length,
        data.draw(st.sampled_from([-1, 1, 2])),
        data.draw(st.integers(0, 2)),
        data.draw(st.integers(0, length)),
        data.draw(st.integers(0, length)),
        data.draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    )
    made = candidates(scores, artists, released, unheard, list(range(1, count + 1)))
    found = [each for each in choose(made, limits, vectors)[0].tolist() if each >= 0]
    cosines = (vectors[1:] @ vectors[1:].T).tolist()
    assert found == naive(scores, artists, released, unheard, cosines, limits)
    assert (made.verdicts[0] == LISTED).nonzero()[0].tolist() == sorted(found)


def test_without_rules_the_best_come_first_and_ties_in_order():
    assert chosen(candidates([-3, -1, -2, -1]), 3) == [1, 3, 2]


def test_an_artist_has_so_many_songs_and_the_next_is_passed_over_by_that_rule():
    made = candidates([-1, -2, -3, -4, -5], artists=[1, 1, 1, 2, 0])
    assert chosen(made, 3, most=2) == [0, 1, 3]
    assert made.verdicts[0].tolist() == [LISTED, LISTED, BY_MOST, LISTED, FELL_SHORT]


def test_artists_stand_apart_and_a_list_ends_where_nothing_may_follow():
    made = candidates([-1, -2, -3, -4], artists=[1, 1, 2, 1])
    assert chosen(made, 4, spacing=1) == [0, 2, 1]
    assert made.verdicts[0].tolist() == [LISTED, LISTED, LISTED, BY_SPACING]
    assert chosen(candidates([-1, -2, -3], artists=[0, 0, 0]), 3, spacing=2) == [0, 1, 2]


def test_a_share_of_new_songs_is_spread_over_the_list():
    made = candidates([-1, -2, -3, -4, -5, -6], released=[False] * 4 + [True] * 2)
    assert chosen(made, 4, released=2) == [0, 4, 1, 5]
    few = candidates([-1, -2, -3], released=[False, False, True])
    assert chosen(few, 3, released=3) == [2, 0, 1]


def test_mmr_takes_the_unlike_song_and_says_whom_it_left_out():
    vectors = np.array([[0, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    made = candidates([-1, -1.5, -3], vectors=[1, 2, 3])
    assert chosen(made, 2, vectors, mmr=0.5) == [0, 2]
    assert made.verdicts[0].tolist() == [LISTED, BY_MMR, LISTED]
    assert chosen(candidates([-1, -1.5, -3], vectors=[1, 2, 3]), 2, vectors, mmr=0.1) == [0, 1]


def test_what_is_barred_is_barred_of_its_own_listener_alone():
    items = np.array([[4, 5], [4, 5]])
    scores = np.array([[-1, -np.inf], [-1, -2]], np.float32)
    verdicts = exclude(
        items, scores, np.zeros((2, 2), np.uint8), np.array([4, 5]), np.array([0, 1, 2])
    )
    assert verdicts.tolist() == [[BY_HEARD, 2], [LISTED, BY_HEARD]]


SONGS = ["a", "b", "c", "d"]


def listed(rules, request, details=None, songs=SONGS, length=4):
    book = RuleBook(rules.with_default(0), Catalogue(details))
    places = {song: place for place, song in enumerate(songs, 1)}
    choice = book.choose(
        [request],
        np.arange(1, len(songs) + 1)[None],
        -np.arange(len(songs), dtype=np.float32)[None],
        np.concatenate([[0], book.catalogue.find(songs)]),
        lambda names: [places[name] for name in names if name in places],
        length=length,
    )
    return "".join(songs[column] for column in choice.columns[0] if column >= 0)


def test_block_and_allow_lists_by_song_and_artist():
    details = {"a": SongDetails(artist="Can"), "b": SongDetails(artist="Neu!")}
    nobody = Request([], ())
    blocked = ListRules(songs=SongRules(block=("c",)), artists=ArtistRules(block=(" CAN ",)))
    assert listed(blocked, nobody, details) == "bd"
    allowed = ListRules(
        songs=SongRules(allow=("d",), block=("a",)), artists=ArtistRules(allow=("can", "Neu!"))
    )
    assert listed(allowed, nobody, details) == "bd"
    assert listed(ListRules(artists=ArtistRules(allow=("Cluster",))), nobody, details) == ""


def test_explicit_songs_are_hidden_and_unknown_ones_as_configured():
    details = {"a": SongDetails(explicit=True), "b": SongDetails(explicit=False)}
    nobody = Request([], ())
    assert listed(ListRules(explicit="hide"), nobody, details) == "bcd"
    assert listed(ListRules(explicit="hide", unknown_explicit="hide"), nobody, details) == "b"
    assert listed(ListRules(unknown_explicit="hide"), nobody, details) == "abcd"


def test_heard_by_plays_by_minutes_and_by_session():
    request = Request(
        ["b", "a"],
        (),
        ["c", "d"],
        DetailLists([NOW_MS - 2 * MINUTE_MS, NOW_MS], [None, None]),
        DetailLists([NOW_MS - 90 * MINUTE_MS, NOW_MS - 60 * MINUTE_MS], [None, None]),
    )
    assert listed(ListRules(heard=HeardRules(plays=1)), request) == "bcd"
    assert listed(ListRules(heard=HeardRules(session=True)), request) == "cd"
    assert listed(ListRules(heard=HeardRules(minutes=60)), request) == "c"
    # Nobody says when these were played: it may have been just now.
    assert listed(ListRules(heard=HeardRules(minutes=1)), Request(["a"], (), ["c"])) == "bd"


def test_shares_of_released_and_of_unheard_songs():
    details = {
        "a": SongDetails(released_at_ms=NOW_MS - 90 * DAY_MS),
        "c": SongDetails(released_at_ms=NOW_MS - 2 * DAY_MS),
    }
    request = Request(["a"], (), ["b"], DetailLists([NOW_MS], [None]))
    lately = ListRules(released=ReleasedRules(share=0.5, days=3))
    assert listed(lately, request, details, length=2) == "ac"
    assert listed(lately, Request(["a"], ()), details, length=2) == "ab"  # nobody says when
    assert listed(ListRules(unheard=UnheardRules(share=0.5)), request, length=2) == "ac"
    assert listed(ListRules(unheard=UnheardRules(share=1)), request, length=2) == "cd"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_a_filled_list_has_at_least_its_share(share):
    unheard = [number % 2 == 1 for number in range(60)]
    wanted = math.ceil(round(share * 20, 6))
    made = candidates([-float(number) for number in range(60)], unheard=unheard)
    found = chosen(made, 20, unheard=wanted)
    assert len(found) == 20
    assert sum(unheard[column] for column in found) >= share * 20


def test_diversity_reaches_lists_through_the_book():
    vectors = np.array([[0, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    book = RuleBook(ListRules(diversity=DiversityRules(mmr=0.9)).with_default(0))
    scores = np.array([[-1, -2, -3, -4]], np.float32)
    items, rows = np.array([[1, 2, 3, 9]]), np.zeros(10, np.int64)
    choice = book.choose([Request([], ())], items, scores, rows, lambda _: [], vectors, length=4)
    assert choice.columns.tolist() == [[0, 2, 3, 1]]
