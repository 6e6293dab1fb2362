from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from segue.offline.datasets.play_log import PLAYS_SCHEMA, SONGS_SCHEMA
from segue.offline.simulation import World, WorldConfig, generate_world
from segue.offline.simulation.catalogue import FIRST, SECOND, Catalogue, unlike_names
from segue.offline.simulation.charts import Charts
from segue.offline.simulation.listeners import Listeners, Sessions
from segue.offline.simulation.sessions import HABITS, LINK_CHANCE, OPENING, listen

SMALL = WorldConfig(songs=600, genres=6, listeners=60, days=14)
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def world() -> World:
    return generate_world(WorldConfig(), seed=1, keep_best=True)


@pytest.fixture(scope="module")
def song(world: World) -> np.ndarray:
    return _numbers(world)


def _numbers(world: World) -> np.ndarray:
    """The row in `log.songs` of each play."""
    rows = world.log.songs.select("song_id").with_row_index("row")
    played = world.log.plays.join(rows, on="song_id", how="left", maintain_order="left")
    return played["row"].to_numpy().astype(np.int64)


def _oracle_hits(world: World, song: np.ndarray) -> np.ndarray:
    assert world.best_songs is not None
    return (world.best_songs == song[:, None]).any(axis=1)


def test_the_same_seed_gives_the_same_world_and_another_seed_another():
    one, again, other = (generate_world(SMALL, seed, keep_best=True) for seed in (5, 5, 6))
    assert one.log.plays.equals(again.log.plays)
    assert one.log.songs.equals(again.log.songs)
    assert one.catalogue.equals(again.catalogue)
    np.testing.assert_array_equal(one.best_hit_at_20, again.best_hit_at_20)
    np.testing.assert_array_equal(one.best_songs, again.best_songs)
    assert not one.log.plays.equals(other.log.plays)


def test_keeping_the_best_lists_changes_nothing_else():
    kept, plain = generate_world(SMALL, 5, keep_best=True), generate_world(SMALL, 5)
    assert plain.best_songs is None
    assert kept.log.plays.equals(plain.log.plays)
    np.testing.assert_array_equal(kept.best_hit_at_20, plain.best_hit_at_20)


def test_the_log_has_the_schema_and_the_size_asked_for(world):
    assert world.log.plays.schema == PLAYS_SCHEMA
    assert world.log.songs.schema.items() >= SONGS_SCHEMA.items()
    assert world.log.plays.null_count().sum_horizontal().item() == 0
    assert world.log.songs["song_id"].equals(world.catalogue["song_id"])
    assert world.catalogue["song_id"].n_unique() == 5_000
    assert world.best_hit_at_20.dtype == np.float32
    assert world.best_hit_at_20.shape == (world.log.plays.height,)
    expected = 800 * 35 / 7 * 2.5 * 12
    assert 0.85 * expected < world.log.plays.height < 1.1 * expected


def test_a_few_songs_draw_much_of_the_listening_and_most_draw_some(world, song):
    plays_of = np.sort(np.bincount(song, minlength=5_000))[::-1]
    assert 0.08 < plays_of[:50].sum() / len(song) < 0.25
    assert (plays_of > 0).mean() > 0.9


def test_listeners_come_back_to_songs_of_their_own(world):
    pairs = world.log.plays.select("user_id", "song_id")
    shuffled = pairs.with_columns(pl.col("song_id").shuffle(seed=3))
    repeated = 1 - pairs.n_unique() / pairs.height
    assert 0.15 < repeated < 0.3
    assert repeated > 2.5 * (1 - shuffled.n_unique() / pairs.height)


def test_no_song_is_played_before_its_release(world):
    released = world.log.plays.join(world.catalogue, on="song_id")
    assert (released["played_at_ms"] >= released["released_at_ms"]).all()


def test_new_songs_come_out_during_the_stream_and_are_loved_at_once(world):
    start = WorldConfig().starts_at_ms
    new = world.catalogue.filter(pl.col("released_at_ms") >= start)
    assert 0.06 < new.height / 5_000 < 0.18
    assert new["released_at_ms"].n_unique() > 20
    week_ms = 7 * 24 * HOUR_MS
    age = pl.col("played_at_ms") - pl.col("released_at_ms")
    # Only songs with three whole weeks to be heard in.
    old_enough = new.filter(pl.col("released_at_ms") <= start + 2 * week_ms)
    ages = world.log.plays.join(old_enough, on="song_id").select(age.alias("age"))["age"]
    first_week = (ages < week_ms).sum()
    third_week = ((ages >= 2 * week_ms) & (ages < 3 * week_ms)).sum()
    assert first_week > 1.5 * third_week


def test_some_new_songs_are_by_artists_nobody_knew(world):
    songs = world.log.songs.join(world.catalogue, on="song_id")
    new = pl.col("released_at_ms") >= WorldConfig().starts_at_ms
    by_artist = songs.group_by("artist").agg(new.any().alias("adds"), new.all().alias("debut"))
    assert by_artist["debut"].sum() > 5
    assert (by_artist["adds"] & ~by_artist["debut"]).sum() > 5


def test_tastes_drift_from_week_to_week():
    config = dataclasses.replace(
        SMALL, days=35, sessions_per_week=28.0, taste_kept_per_week=0.7, new_songs_share=0.0
    )
    world = generate_world(config, seed=2)
    weeks = (pl.col("played_at_ms") - config.starts_at_ms) / (7 * 24 * HOUR_MS)
    plays = world.log.plays.join(world.catalogue, on="song_id").with_columns(weeks.alias("week"))

    def tastes(begin: float) -> np.ndarray:
        half = plays.filter(pl.col("week").is_between(begin, begin + 0.5))
        table = np.zeros((config.listeners, config.genres))
        genres = sorted(world.catalogue["genre"].unique())
        for user, genre in half.select("user_id", "genre").iter_rows():
            table[int(user.removeprefix("listener-")), genres.index(genre)] += 1
        return table / np.maximum(table.sum(axis=1, keepdims=True), 1)

    within = np.abs(tastes(0.0) - tastes(0.5)).sum(axis=1).mean()
    across = np.abs(tastes(0.0) - tastes(4.5)).sum(axis=1).mean()
    assert across > 1.4 * within


def test_sessions_are_one_listener_without_a_song_twice_and_apart_in_time(world):
    by_session = world.log.plays.group_by("session_id").agg(
        pl.col("user_id").n_unique().alias("users"),
        pl.col("user_id").first(),
        pl.col("song_id").n_unique().alias("songs"),
        pl.len().alias("plays"),
        pl.col("played_at_ms").min().alias("began"),
        (pl.col("played_at_ms") + pl.col("ms_played")).max().alias("ended"),
    )
    assert (by_session["users"] == 1).all()
    assert by_session["songs"].equals(by_session["plays"].rename("songs"))
    assert 11 < by_session["plays"].mean() < 13
    assert by_session["plays"].max() <= WorldConfig().max_session_plays
    ordered = by_session.sort("user_id", "began")
    breaks = ordered["began"] - ordered["ended"].shift(1)
    same = ordered["user_id"] == ordered["user_id"].shift(1)
    assert breaks.filter(same.fill_null(False)).min() >= HOUR_MS


def test_the_plays_are_in_order_and_a_gap_of_half_an_hour_tells_the_sessions(world):
    plays = world.log.plays
    assert plays["played_at_ms"].is_sorted()
    named = world.log.sessions(gap_s=1800)
    anonymous = dataclasses.replace(
        world.log, plays=plays.with_columns(session_id=pl.lit(None, pl.String))
    )
    assert anonymous.sessions(gap_s=1800) == named


def test_a_song_lasts_minutes_unless_it_is_skipped(world):
    heard, skipped = (
        world.log.plays.filter(pl.col("skipped") == value)["ms_played"] for value in (False, True)
    )
    assert heard.is_between(150_000, 300_000).all()
    assert (skipped <= 150_000).all()
    assert 0.05 < len(skipped) / world.log.plays.height < 0.25


def test_people_sleep(world):
    hours = world.log.plays["played_at_ms"] // HOUR_MS % 24
    assert hours.is_between(18, 20).sum() > 4 * hours.is_between(2, 4).sum()


def test_the_ceiling_is_what_its_own_lists_reach(world, song):
    ceiling = world.best_hit_at_20.astype(float)
    assert ceiling.min() > 0
    assert ceiling.max() <= 1
    hits = _oracle_hits(world, song)
    # A list that is right must be right among the hard plays and among the easy ones.
    for part in np.array_split(np.argsort(ceiling, kind="stable"), 5):
        error = np.sqrt((ceiling[part] * (1 - ceiling[part])).sum())
        assert abs(hits[part].sum() - ceiling[part].sum()) < 3.5 * error
    assert abs(hits.sum() - ceiling.sum()) < 3 * np.sqrt((ceiling * (1 - ceiling)).sum())


def test_the_best_list_has_its_best_song_first(world, song):
    assert world.best_songs is not None
    by_place = (world.best_songs == song[:, None]).mean(axis=0)
    assert by_place[0] > 2 * by_place[1] > 4 * by_place[19]


def test_popularity_reaches_far_less_than_the_ceiling(world, song):
    cut = int(0.7 * len(song))
    popular = np.argsort(-np.bincount(song[:cut]))[:20]
    popularity = np.isin(song[cut:], popular).mean()
    ceiling = world.best_hit_at_20[cut:].mean()
    assert 0.03 < popularity < 0.12
    assert 0.35 < ceiling < 0.65


def test_the_ceiling_equals_the_sum_over_all_songs():
    config = WorldConfig(songs=200, genres=3, listeners=4, days=15, sessions_per_week=5.0)
    rng = np.random.default_rng(9)
    catalogue = Catalogue.generate(config, rng)
    charts = Charts.of(catalogue, config.days, depth=20 + config.max_session_plays)
    listeners = Listeners.generate(config, charts, rng)
    sessions = Sessions.generate(config, listeners, rng)
    listening = listen(charts, listeners, sessions, rng, keep_best=True)
    assert listening.best is not None
    at = 0
    for row, plays in enumerate(sessions.plays):
        for step in range(plays):
            played = listening.song[at - step : at]
            everything = _dense(catalogue, charts, listeners, sessions, row, played)
            assert everything[listening.song[at]] > 0
            best = np.sort(everything)[::-1][:20]
            assert listening.best_hit[at] == pytest.approx(best.sum(), abs=1e-6)
            np.testing.assert_allclose(everything[listening.best[at]], best, atol=1e-12)
            at += 1
    assert at == len(listening.song) > 100


def _dense(
    catalogue: Catalogue,
    charts: Charts,
    listeners: Listeners,
    sessions: Sessions,
    row: int,
    played: np.ndarray,
) -> np.ndarray:
    """The next song's distribution over the whole catalogue, written out."""
    day, taste = int(sessions.day[row]), sessions.taste[row]
    jumps = charts.share[day] * taste[catalogue.genre]
    assert jumps.sum() == pytest.approx(1)
    favourites = np.zeros(len(jumps))
    places = np.arange(1, listeners.favourites.shape[2] + 1) ** -0.5
    mine = listeners.favourites[sessions.listener[row], day // 7]
    np.add.at(favourites, mine, places / places.sum())
    if len(played):
        album, artist, related = (np.zeros(len(jumps)) for _ in range(3))
        album[catalogue.next_track[played[-1]]] = 1
        np.add.at(artist, catalogue.artist_links[played[-1]], LINK_CHANCE)
        np.add.at(related, catalogue.related_links[played[-1]], LINK_CHANCE)
        chance = HABITS[sessions.habit[row]] @ [album, artist, related, favourites, jumps]
    else:
        recent = np.zeros(len(jumps))
        recent[charts.fresh[day]] = charts.fresh_weight[day]
        recent *= taste[catalogue.genre]
        recent /= max(recent.sum(), 1e-300)
        chance = np.array(OPENING) @ [favourites, recent, jumps]
    chance[played] = 0
    chance[catalogue.released_day > day] = 0
    return chance / chance.sum()


def test_progress_ends_at_the_number_of_plays():
    calls: list[tuple[int, int]] = []
    world = generate_world(SMALL, 1, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (world.log.plays.height, world.log.plays.height)


def test_a_world_in_which_nobody_listens_is_empty():
    world = generate_world(WorldConfig(listeners=1, days=1, sessions_per_week=1e-9), seed=1)
    assert world.log.plays.schema == PLAYS_SCHEMA
    assert world.log.plays.is_empty()
    assert len(world.best_hit_at_20) == 0


def test_names_of_artists_never_repeat():
    count = len(FIRST) * len(SECOND) + 10
    assert len(set(unlike_names(count, np.random.default_rng(0)))) == count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("songs", 599),
        ("genres", 0),
        ("genres", 25),
        ("listeners", 0),
        ("days", 0),
        ("sessions_per_week", 0.0),
        ("plays_per_session", float("nan")),
        ("max_session_plays", 0),
        ("max_session_plays", 101),
        ("popularity_exponent", float("inf")),
        ("new_songs_share", 0.6),
        ("favourites", 0),
        ("favourites_kept_per_week", 1.1),
        ("taste_kept_per_week", -0.1),
        ("starts_at_ms", 1_767_571_200_001),
    ],
)
def test_a_config_that_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must .*{value}"):
        dataclasses.replace(WorldConfig(), **{name: value})
