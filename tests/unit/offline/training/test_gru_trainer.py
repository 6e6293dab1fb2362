"""Training on worlds whose answer is known."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.models.bundles.bundle import read_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRUConfig, gru_from_bundle
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.full_ranking import rank_predictions
from segue.offline.training.gru_trainer import (
    Progress,
    TrainedGRU,
    keep_songs,
    train_gru,
)
from segue.offline.training.trainer import TrainingError
from tests.support.cli import segue
from tests.support.toy import number_sessions, paired_sessions, partner, song

PAIRS = 25
SMALL = GRUConfig(dim=16, hidden=16, batch_plays=64, learning_rate=0.01, dropout=0.1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def predictions(sessions: list[list[str]], songs: Vocabulary) -> Predictions:
    return Predictions.of(number_sessions(sessions, songs), len(songs))


def train(config: GRUConfig = SMALL, **options: Any) -> TrainedGRU:
    songs = Vocabulary()
    log = number_sessions(paired_sessions(PAIRS, sessions=400, seed=1), songs)
    validation = predictions(paired_sessions(PAIRS, sessions=40, seed=2), songs)
    return train_gru(log, songs, config, validation=validation, **{"epochs": 6, **options})


def train_alone(sessions: list[list[str]], config: GRUConfig = SMALL, **options: Any) -> TrainedGRU:
    songs = Vocabulary()
    return train_gru(number_sessions(sessions, songs), songs, config, **options)


@pytest.fixture(scope="module")
def trained() -> TrainedGRU:
    return train()


def best_next(trained: TrainedGRU, heard: list[str]) -> str:
    contexts = Contexts.of(Ragged.of([trained.vocabulary.numbers(heard)]))
    return trained.vocabulary.song(int(trained.next_song().scores(contexts)[0].argmax()))


def test_the_partner_is_ranked_first(trained: TrainedGRU) -> None:
    for pair in range(PAIRS):
        first = song(2 * pair)
        assert best_next(trained, [first]) == partner(first)
        assert best_next(trained, [song(4), song(5), first]) == partner(first)


@pytest.mark.parametrize("config", [{"hidden": 24}, {"full_softmax_songs": 0, "negatives": 20}])
def test_it_learns_as_well_in_every_shape(config: dict[str, Any]) -> None:
    fields = {name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__}
    other = train(GRUConfig(**{**fields, **config}))
    answers = [best_next(other, [song(2 * pair)]) for pair in range(PAIRS)]
    assert answers == [song(2 * pair + 1) for pair in range(PAIRS)]


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    one, again, other = (train(epochs=2, seed=seed) for seed in (5, 5, 6))
    for name, tensor in one.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name
    assert not torch.equal(one.network.songs.weight, other.network.songs.weight)
    assert [epoch.loss for epoch in one.history] == [epoch.loss for epoch in again.history]


def test_the_loss_falls_and_the_best_epoch_is_kept(trained: TrainedGRU) -> None:
    history = trained.history
    assert history[-1].loss < history[0].loss / 1.3
    assert trained.best.mrr_at_20 == max(epoch.mrr_at_20 or 0 for epoch in history)
    songs = trained.vocabulary
    held_back = predictions(paired_sessions(PAIRS, sessions=40, seed=2), songs)
    ranks = rank_predictions(trained.next_song(), held_back, songs).ranks
    assert (ranks <= 20).mean() == trained.best.hit_rate_at_20


def test_popularity_counts_the_training_plays(trained: TrainedGRU) -> None:
    sessions = paired_sessions(PAIRS, sessions=400, seed=1)
    counts = Counter(song_id for session in sessions for song_id in session)
    for song_id in (song(0), song(2 * PAIRS - 1)):
        number = trained.vocabulary.number(song_id)
        assert number is not None
        assert trained.popularity[number] == counts[song_id]
    assert trained.popularity.sum() == sum(counts.values())


def test_training_ends_when_validation_gets_no_better() -> None:
    # What comes next in these is the reverse of what was learned: more learning is worse.
    backwards = [each[::-1] for each in paired_sessions(PAIRS, sessions=40, seed=2)]
    sessions = paired_sessions(PAIRS, sessions=400, seed=1)
    songs = Vocabulary()
    log = number_sessions(sessions, songs)
    judged = predictions(backwards, songs)
    ended = train_gru(log, songs, SMALL, validation=judged, epochs=30, patience=2)
    assert len(ended.history) == ended.best.number + 2 < 30
    assert ended.ended == "no better for 2 epochs"


def test_without_validation_every_epoch_runs_and_the_last_is_kept() -> None:
    ended = train_alone(paired_sessions(PAIRS, 50, seed=1), epochs=3, patience=1)
    assert (len(ended.history), ended.best.number, ended.best.mrr_at_20) == (3, 3, None)


def test_an_interruption_keeps_the_best_so_far() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    ended = train(on_progress=interrupt)
    first = train(epochs=1)
    assert ended.ended == "interrupted"
    assert [epoch.number for epoch in ended.history] == [1]
    assert torch.equal(ended.network.songs.weight, first.network.songs.weight)


def test_an_interruption_with_nothing_to_keep_is_passed_on() -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(on_progress=interrupt)


def test_the_time_budget_ends_an_epoch_before_its_end() -> None:
    ticks = iter(range(10_000))
    done: list[Progress] = []
    ended = train(time_budget_s=10, clock=lambda: float(next(ticks)), on_progress=done.append)
    assert ended.ended == "the time is up"
    assert done[-1].epoch == 1
    assert 0 < done[-1].done < done[-1].total


def test_progress_counts_every_prediction_once() -> None:
    seen: list[Progress] = []
    train(epochs=1, on_progress=seen.append)
    assert seen[-1].done == seen[-1].total == 400 * 5


@pytest.mark.parametrize("sessions", [[], [[]], [["a"], ["b"]]])
def test_sessions_without_a_next_song_are_refused(sessions: list[list[str]]) -> None:
    with pytest.raises(TrainingError, match="no session has two known songs"):
        train_alone(sessions)


def test_a_loss_that_runs_away_is_refused() -> None:
    with pytest.raises(TrainingError, match="the loss became"):
        train(GRUConfig(dim=4, hidden=4, scale=3e38, batch_plays=64))


def test_rare_songs_are_left_out() -> None:
    songs = Vocabulary()
    log = number_sessions([["b", "a", "b"], ["c", "b", "a"]], songs)
    kept, vocabulary, popularity = keep_songs(log, songs, min_count=2)
    assert vocabulary.song_ids == ["b", "a"]
    assert popularity.tolist() == [0, 3, 2]
    assert [session.tolist() for session in kept.sessions] == [[1, 2, 1], [1, 2]]


def test_it_learns_that_listeners_return_to_what_they_heard() -> None:
    # Half of the second sessions' plays come from the listener's first session.
    rng = random.Random(3)
    sessions, listeners = [], []
    for listener in range(300):
        own = rng.sample(range(200), 4)
        again = [song(n) for pair in zip(own, rng.sample(range(200), 4), strict=True) for n in pair]
        sessions += [[song(n) for n in own], again]
        listeners += [listener, listener]
    songs = Vocabulary()
    numbered = number_sessions(sessions, songs)
    log = SessionLog(numbered.sessions, np.array(listeners), numbered.began_ms)
    trained = train_gru(log, songs, SMALL, epochs=8)
    own = [number_of(songs, n) for n in (5, 60, 77, 140)]
    new = number_of(songs, 9)
    contexts = Contexts.of(Ragged.of([[new]]), Ragged.of([own]))
    [scores] = trained.next_song().scores(contexts)
    assert sorted(scores.topk(4).indices.tolist()) == sorted(own)


def number_of(songs: Vocabulary, number: int) -> int:
    found = songs.number(song(number))
    assert found is not None
    return found


@pytest.fixture
def plays_file(tmp_path: Path) -> Path:
    lines = ["user_id,song_id,played_at,title,artist"]
    for number, session in enumerate(paired_sessions(PAIRS, sessions=400, seed=1)):
        for place, song_id in enumerate(session):
            at = 1_700_000_000 + number * 10_000 + place * 200
            lines.append(f"u{number % 7},{song_id},{at},Title {song_id},Artist")
    (tmp_path / "plays.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "plays.csv"


def test_the_command_trains_a_bundle_and_tells_how_good_it_is(
    plays_file: Path, tmp_path: Path
) -> None:
    out, reported = tmp_path / "bundle", tmp_path / "figures.json"
    run = segue(
        *("train", "gru", "--plays", plays_file, "--out", out, "--json", reported),
        *("--epochs", 3, "--dim", 16, "--seed", 1, "--no-refit"),
    )
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert set(figures) == {
        *("plays", "sessions", "songs", "epochs", "train_plays_per_s", "hit_rate_at_20"),
        *("mrr_at_20", "popularity_hit_rate_at_20", "popularity_mrr_at_20", "bundle"),
    }
    assert (figures["plays"], figures["sessions"], figures["songs"]) == (2160, 360, 50)
    assert figures["bundle"] == str(out)
    bundle = read_bundle(out)
    assert bundle.titles[song(3)] == ("Title song-3", "Artist")
    assert bundle.manifest.training["from_ms"] == 1_700_000_000_000
    assert bundle.manifest.training["to_ms"] == 1_700_000_000_000 + 359 * 10_000_000 + 1_000_000
    assert bundle.manifest.metrics["mrr_at_20"] == figures["mrr_at_20"]
    assert gru_from_bundle(bundle).config.dim == 16
    assert f"segue playlist --bundle {out}" in run.output


def test_the_command_trains_once_more_on_what_it_held_back(
    plays_file: Path, tmp_path: Path
) -> None:
    run = segue(
        *("train", "gru", "--plays", plays_file, "--out", tmp_path / "bundle"),
        *("--epochs", 2, "--dim", 8),
    )
    assert run.exit_code == 0, run.output
    manifest = read_bundle(tmp_path / "bundle").manifest
    assert (manifest.training["plays"], manifest.training["sessions"]) == (2400, 400)
    assert manifest.training["to_ms"] == 1_700_000_000_000 + 399 * 10_000_000 + 1_000_000
    assert manifest.metrics["mrr_at_20"] is not None
    assert "trained once more on everything" in run.output


def test_the_command_refuses_before_it_trains(plays_file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    run = segue("train", "gru", "--plays", plays_file, "--out", tmp_path / "mine")
    assert run.exit_code == 1
    assert "left alone" in run.output


def test_the_command_refuses_too_few_plays(tmp_path: Path) -> None:
    plays = tmp_path / "plays.csv"
    plays.write_text("user_id,song_id,played_at\nu,a,1700000000\nv,b,1700000001\n")
    run = segue("train", "gru", "--plays", plays, "--out", tmp_path / "bundle")
    assert run.exit_code == 1
    assert "no session has two known songs" in run.output
    assert not (tmp_path / "bundle").exists()
