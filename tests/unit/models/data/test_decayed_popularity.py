import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.models.data.decayed_popularity import RecentPopularity

HOUR = 3_600_000


def names(popularity):
    return [song_id for _, song_id in popularity.top]


def test_more_plays_weigh_more_and_equal_ones_go_by_song_id():
    popularity = RecentPopularity(HOUR, max_songs=10, list_length=3)
    for song_id in "bacab":
        popularity.add(song_id, 0)
    assert names(popularity) == ["a", "b", "c"]
    assert popularity.weights == pytest.approx({"a": 1.0, "b": 1.0, "c": 0.0})  # log2 2, 2, 1


def test_a_play_counts_half_after_a_half_life():
    popularity = RecentPopularity(HOUR, max_songs=10, list_length=3)
    for _ in range(3):
        popularity.add("old", 0)
    popularity.add("new", 2 * HOUR)  # weighs 4 of the old plays
    assert names(popularity) == ["new", "old"]
    popularity.add("old", HOUR)  # 3 + 2 > 4
    assert names(popularity) == ["old", "new"]


def test_the_least_songs_go_where_too_many_are_held():
    popularity = RecentPopularity(HOUR, max_songs=2, list_length=2)
    for count, song_id in enumerate("abcde", 1):
        for _ in range(count):
            popularity.add(song_id, 0)
    assert sorted(popularity.shrink()) == ["a", "b", "c"]
    assert names(popularity) == ["e", "d"]
    assert popularity.shrink() == []


@pytest.mark.parametrize(
    ("half_life_ms", "max_songs", "named"), [(0, 5, "half_life_ms"), (1, 1, "max_songs")]
)
def test_bad_bounds_are_refused(half_life_ms, max_songs, named):
    with pytest.raises(ValueError, match=named):
        RecentPopularity(half_life_ms, max_songs, list_length=2)


plays = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20 * HOUR)), max_size=60)


@given(plays)
def test_the_ranking_kept_is_the_ranking_sorted_anew(log):
    popularity = RecentPopularity(HOUR, max_songs=8, list_length=3)
    for song_id, played_at_ms in log:
        popularity.add(song_id, played_at_ms)
        fresh = RecentPopularity(HOUR, 8, 3, popularity.weights)
        assert popularity.top == fresh.top


@given(plays)
def test_weights_are_the_decayed_counts(log):
    popularity = RecentPopularity(HOUR, max_songs=8, list_length=8)
    for song_id, played_at_ms in log:
        popularity.add(song_id, played_at_ms)
    for song_id, weight in popularity.weights.items():
        assert 2**weight == pytest.approx(sum(2 ** (t / HOUR) for s, t in log if s == song_id))
