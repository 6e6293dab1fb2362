"""One refresh: accepted and put in its place, or refused and set aside with its reason."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from segue.models.bundles.bundle import read_bundle, write_bundle
from segue.models.data.catalogue import SongDetails
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import bundle_weights
from segue.models.item2vec.skipgram import SkipGramConfig, train_skipgram
from segue.models.refresh.bundle_refresh import Refreshed
from segue.models.refresh.embedding_refresh import RefreshConfig
from segue.models.registry import model_of
from segue.stream.refresh.guardrails import GuardRails, check_refreshed
from segue.stream.refresh.refresh import RefreshPlan, learned_ms, refresh
from segue.stream.refresh.sessions import Session
from tests.support.toy import number_sessions, paired_sessions

PAIRS = 30
CONFIG = SkipGramConfig(dim=16, window=1, epochs=40, readout="product")
PLAN = RefreshPlan(least_sessions=5)
HOUR = 3_600_000


@pytest.fixture(scope="module")
def song_vectors(tmp_path_factory):
    """Return the directory of a skip-gram bundle of a world of pairs, learned up to hour 0."""
    songs = Vocabulary()
    log = number_sessions(paired_sessions(PAIRS, 600, seed=1), songs)
    vectors = train_skipgram(log.sessions, len(songs), CONFIG)
    directory = tmp_path_factory.mktemp("base") / "songs"
    write_bundle(
        directory,
        kind="skipgram",
        config=asdict(CONFIG),
        weights=bundle_weights(vectors),
        vocabulary=songs,
        titles={},
        details={"song-0": SongDetails("A title", "An artist", genres=("jazz",))},
        training={"plays": 3600, "to_ms": 1},
        metrics={},
    )
    return directory


def sessions_of(rows, hour=1):
    return [
        Session(
            f"u{n}",
            row,
            [hour * HOUR + 10_000 * n + place for place in range(len(row))],
            [None] * len(row),
        )
        for n, row in enumerate(rows)
    ]


def good_sessions(seed=2):
    rows = paired_sessions(PAIRS, 120, seed=seed)
    return sessions_of([*rows[:60], *[["song-0", "new", "song-1"]] * 20, *rows[60:]])


def test_a_good_bundle_stands_in_its_place_and_says_where_it_comes_from(song_vectors, tmp_path):
    sessions = good_sessions()
    outcome = refresh(tmp_path, song_vectors, sessions, [], PLAN)
    assert outcome.accepted
    assert outcome.new_songs == 1
    bundle = read_bundle(tmp_path / outcome.served.location, kind="skipgram")
    assert bundle.manifest.version == outcome.served.version
    assert outcome.served.location == f"skipgram/{outcome.served.version}"
    assert bundle.details == {"song-0": SongDetails("A title", "An artist", genres=("jazz",))}
    learned = sessions[:126]  # the newest tenth is held back
    assert learned_ms(bundle.manifest) == outcome.learned_ms == learned[-1].end_ms
    assert bundle.manifest.training["plays"] == 3600 + sum(len(one.songs) for one in learned)
    assert bundle.manifest.training["refreshes"] == 1
    assert bundle.manifest.metrics["hit_rate_at_20"] == outcome.verdict.after
    assert outcome.verdict.predictions == sum(len(one.songs) - 1 for one in sessions[126:])
    assert outcome.verdict.after > 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["skipgram"]


def test_the_same_refresh_again_is_the_same_bundle(song_vectors, tmp_path):
    first = refresh(tmp_path, song_vectors, good_sessions(), [], PLAN)
    again = refresh(tmp_path, song_vectors, good_sessions(), [], PLAN)
    assert first.served == again.served
    assert [path.name for path in (tmp_path / "skipgram").iterdir()] == [first.served.version]


def test_sessions_are_parted_at_one_moment(song_vectors, tmp_path):
    sessions = good_sessions()
    for one in sessions[-30:]:
        one.played_at_ms = [50 * HOUR] * len(one.songs)
    outcome = refresh(tmp_path, song_vectors, sessions, [], PLAN)
    assert outcome.learned_ms == 50 * HOUR
    assert outcome.verdict.predictions == 0


def assert_set_aside(root, outcome, said):
    assert not outcome.accepted
    assert outcome.served is None
    assert said in outcome.verdict.problems[0]
    [kept] = (root / "refused").iterdir()
    assert said in json.loads((kept / "reason.json").read_text())["reason"]
    assert read_bundle_of(kept).manifest.version == kept.name
    assert [path.name for path in root.iterdir()] == ["refused"]


def read_bundle_of(directory):
    return read_bundle(directory, kind=None)


def test_one_that_knows_less_than_before_is_set_aside(song_vectors, tmp_path):
    chance = np.random.default_rng(0)
    noise = sessions_of(
        [[f"song-{n}" for n in chance.integers(0, 2 * PAIRS, 8)] for _ in range(300)]
    )
    after = sessions_of(paired_sessions(PAIRS, 60, seed=3), hour=9)
    hard = replace(PLAN, vectors=RefreshConfig(epochs=60, learning_rate=0.05), held_back=1 / 6)
    loose = replace(hard, rails=GuardRails(least_cosine=-1, most_growth=100))
    outcome = refresh(tmp_path, song_vectors, [*noise, *after], [], loose)
    assert outcome.verdict.before > outcome.verdict.after + 0.02
    assert outcome.learned_ms == 1, "nothing is learned where nothing is accepted"
    assert_set_aside(tmp_path, outcome, "hit rate @20 fell from")


def test_one_whose_vectors_moved_too_far_is_set_aside(song_vectors, tmp_path):
    strict = replace(PLAN, rails=GuardRails(least_cosine=0.9999))
    outcome = refresh(tmp_path, song_vectors, good_sessions(), [], strict)
    assert_set_aside(tmp_path, outcome, "mean cosine")


def test_numbers_that_are_none_are_a_problem(song_vectors):
    weights = {"songs.weight": torch.tensor([[0.0], [float("nan")]])}
    made = Refreshed(weights, Vocabulary(["a"]), None)
    model = model_of(read_bundle_of(song_vectors))
    verdict = check_refreshed(GuardRails(), model, model, made, sessions_of([["a", "b"]] * 40))
    assert verdict.problems == ("tensor 'songs.weight' holds numbers that are not finite",)


def test_too_little_makes_no_bundle(song_vectors, tmp_path):
    assert refresh(tmp_path, song_vectors, good_sessions()[:4], [], PLAN) is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_behind_is_cleared_away(song_vectors, tmp_path):
    (tmp_path / ".candidate").mkdir()
    (tmp_path / ".candidate" / "reason.json").write_text("{}")
    assert refresh(tmp_path, song_vectors, good_sessions(), [], PLAN).accepted


def heard_with_new(sessions, hour):
    return sessions_of([["song-0", "new", "song-1"]] * sessions, hour)


def test_a_song_waits_until_it_was_played_often_enough(song_vectors, tmp_path):
    plan = replace(PLAN, least_plays=30, held_back=0.0)
    waiting = heard_with_new(20, hour=1)
    first = refresh(tmp_path, song_vectors, waiting, [], plan)
    known = read_bundle_of(tmp_path / first.served.location)
    assert (first.new_songs, first.plays) == (0, 40), "its plays teach nothing yet"
    assert "new" not in known.vocabulary
    then = refresh(
        tmp_path, tmp_path / first.served.location, heard_with_new(10, hour=2), waiting, plan
    )
    bundle = read_bundle_of(tmp_path / then.served.location)
    assert (then.new_songs, then.plays) == (1, 30)
    counted = bundle.weights["popularity"][bundle.vocabulary.number("new")]
    assert counted == 30, "its plays while it waited count by now"
    inputs = bundle.weights["inputs"].numpy()
    number, near = (bundle.vocabulary.number(name) for name in ("new", "song-0"))
    unit = inputs / np.maximum(np.linalg.norm(inputs, axis=1, keepdims=True), 1e-9)
    assert near in np.argsort(-(unit @ unit[number]))[:4]


def test_nothing_is_made_where_only_songs_that_wait_were_played(song_vectors, tmp_path):
    plan = replace(PLAN, least_plays=100)
    assert refresh(tmp_path, song_vectors, sessions_of([["new", "newer"]] * 20), [], plan) is None


def test_what_is_known_of_songs_by_now_goes_into_the_bundle(song_vectors, tmp_path):
    reported = {"new": SongDetails("Another title", "An artist")}
    outcome = refresh(tmp_path, song_vectors, good_sessions(), [], PLAN, reported)
    details = read_bundle_of(tmp_path / outcome.served.location).details
    assert details == {"song-0": SongDetails("A title", "An artist", genres=("jazz",)), **reported}
