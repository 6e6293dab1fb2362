"""The AMNN experiment: nothing of the test is learned, and all of it runs from one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.models.collaborative.amnn import AMNN, AMNNConfig
from segue.models.collaborative.interactions import Interactions
from segue.offline.datasets.readers import read_plays
from segue.offline.experiments.amnn.protocol import ExperimentError, Protocol, folds, read_tastes
from segue.offline.experiments.amnn.runner import Variant, variants
from segue.offline.experiments.amnn.statistics import Bootstrap, differences, summary
from segue.offline.experiments.amnn.trainer import (
    candidate_ranks,
    fit_network,
    histories_without,
    validation_ndcg,
)
from tests.support.cli import segue

GROUPS, SONGS_EACH = 3, 60
PROTOCOL = Protocol(min_songs=10, negatives=20)


def triplets(path: Path, listeners: int = 90, songs: int = 15, seed: int = 0) -> Path:
    """Write listeners of three kinds, who like the songs of their own kind alone."""
    rng = np.random.default_rng(seed)
    lines = []
    for listener in range(listeners):
        first = listener % GROUPS * SONGS_EACH
        liked = first + rng.choice(SONGS_EACH, songs, replace=False)
        counts = rng.integers(1, 30, songs)
        rows = zip(liked, counts, strict=True)
        lines += [f"u{listener}\tS{song}\t{count}\n" for song, count in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def interactions(tmp_path_factory: pytest.TempPathFactory) -> Interactions:
    path = triplets(tmp_path_factory.mktemp("world") / "triplets.tsv")
    return read_tastes(read_plays(path), PROTOCOL)


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_listeners_with_enough_songs_are_kept_most_played_first(tmp_path: Path) -> None:
    rows = [f"a\tS{n}\t{count}" for n, count in enumerate([3, 9, 9, 1])]
    log = read_plays(write(tmp_path / "t.tsv", *rows, "b\tS0\t100", "a\tS3\t7"))
    interactions = read_tastes(log, Protocol(min_songs=4, parts=2, folds=2))
    assert len(interactions) == 1
    assert interactions.counts.tolist() == [9, 9, 8, 3]  # S3 stands twice: 1 + 7
    assert interactions.songs[0].tolist() == [2, 3, 4, 1]


def test_an_ordered_log_is_counted_and_the_latest_breaks_ties(tmp_path: Path) -> None:
    log = read_plays(write(tmp_path / "seq.txt", "u a b c b d"), "lastfm-seq")
    interactions = read_tastes(log, Protocol(min_songs=4, parts=2, folds=2))
    assert interactions.counts.tolist() == [2, 1, 1, 1]
    assert interactions.songs[0].tolist() == [2, 4, 3, 1]  # b, then d, c, a


def test_the_same_songs_of_each_listener_are_sampled(tmp_path: Path) -> None:
    log = read_plays(triplets(tmp_path / "t.tsv"))
    sampled = Protocol(min_songs=10, sample_songs=12)
    one, again = read_tastes(log, sampled), read_tastes(log, sampled)
    assert set(one.songs.lengths) == {12}
    assert np.array_equal(one.songs.values, again.songs.values)


def test_nothing_that_is_asked_is_learned_and_no_negative_was_heard(
    interactions: Interactions,
) -> None:
    everything = [set(songs.tolist()) for songs in interactions.songs]
    tested, chosen_by = [], []
    for fold in folds(interactions, PROTOCOL, seed=0):
        for user, songs in enumerate(fold.training.songs):
            learned, heard = set(songs.tolist()), everything[user]
            for asked in (fold.test[user], fold.validation[user]):
                assert asked[0] in heard - learned
                assert not heard & set(asked[1:].tolist())
                assert len(set(asked.tolist())) == 21
            # A fifth is held back, and of the rest the validation song.
            assert len(learned) == 15 - 3 - 1
        tested.append(fold.test[:, 0])
        chosen_by.append(fold.validation[:, 0])
    for own, choosing in zip(np.stack(tested, 1), np.stack(chosen_by, 1), strict=True):
        assert len(set(own.tolist())) == 5
        assert not set(own.tolist()) & set(choosing.tolist())


def test_seeds_deal_differently_and_each_always_the_same(interactions: Interactions) -> None:
    one, again, other = (next(folds(interactions, PROTOCOL, seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.test, again.test)
    assert not np.array_equal(one.test, other.test)


def test_a_song_asked_for_never_stands_in_its_own_history(interactions: Interactions) -> None:
    fold = next(folds(interactions, PROTOCOL, seed=0))
    most_played = fold.training.most_played(11)
    users, songs = fold.training.songs.row_numbers(), fold.training.songs.values
    histories = histories_without(most_played[users], songs)
    assert not (histories == songs[:, None]).any()
    assert ((histories > 0).sum(1) == 10).all()


def test_a_song_that_nobody_played_in_training_stands_last(interactions: Interactions) -> None:
    fold = next(folds(interactions, PROTOCOL, seed=0))
    gone = fold.training.keep(fold.training.songs.values != fold.test[0, 0])

    class Enthusiast:
        def scores(self, users: Any, songs: Any) -> Any:
            return np.where(np.arange(songs.shape[1]) == 0, 1.0, 0.0) + np.zeros(songs.shape)

    ranks = candidate_ranks(Enthusiast(), gone, fold.test)
    assert ranks[0] == 21
    assert (ranks[fold.test[:, 0] != fold.test[0, 0]] == 1).all()


def test_amnn_learns_whose_songs_are_whose_and_equal_seeds_agree(
    interactions: Interactions,
) -> None:
    fold = next(folds(interactions, PROTOCOL, seed=0))
    config = AMNNConfig(dim=16, layers=(8,), dropout=0.0, learning_rate=0.01, batch=64)

    def fit(seed: int) -> Any:
        network = AMNN(config, len(interactions), interactions.catalogue)
        return fit_network(network, fold, seed, torch.device("cpu"))

    one, again = fit(3), fit(3)
    users = np.arange(len(interactions))
    assert np.array_equal(one.scores(users, fold.test), again.scores(users, fold.test))
    # A third of the unheard are of the listener's own kind: none but chance parts those.
    assert validation_ndcg(one, fold) > 0.3
    ranks = candidate_ranks(one, fold.training, fold.test)
    assert (ranks <= 10).mean() > 0.8


def test_figures_are_worked_out_by_hand() -> None:
    ranks = np.array([[1, 3, 11], [2, 11, 11]])
    found = summary(ranks, Bootstrap(3))
    assert found["hr_at_10"] == pytest.approx(3 / 6)
    # 1, 1 / log2(4) and 1 / log2(3)
    gains = [1.0, 0.5, 1 / np.log2(3)]
    assert found["ndcg_at_10"] == pytest.approx(sum(gains) / 6)
    assert found["hr_at_10_spread"] == pytest.approx(np.std([2 / 3, 1 / 3], ddof=1))
    assert found["hr_at"]["1"] == pytest.approx(1 / 6)
    assert found["hr_at"]["2"] == pytest.approx(2 / 6)


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    bootstrap = Bootstrap(200)
    covered = 0
    for _ in range(200):
        interval = bootstrap.interval((rng.random(200) < 0.3).astype(float))
        covered += interval.low <= 0.3 <= interval.high
    assert 178 <= covered <= 199  # 95 % of 200, within 4 standard deviations


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    worse = rng.integers(2, 10, (1, 300))
    found = differences({"a": worse, "b": worse - 1}, Bootstrap(300))
    [by_gain] = [row for row in found if row["metric"] == "ndcg_at_10"]
    assert by_gain["ci"][0] > 0
    [by_hits] = [row for row in found if row["metric"] == "hr_at_10"]
    assert (by_hits["difference"], by_hits["ci"]) == (0.0, [0.0, 0.0])


def test_what_is_fitted_once_serves_the_table_and_the_curves() -> None:
    found = variants(["popularity", "amnn"], [5, 10])
    assert found == [Variant("popularity", 0), Variant("amnn", 10), Variant("amnn", 5)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"min_songs": 3, "parts": 2, "folds": 2},
            "parts must lie between 2 and half of min_songs",
        ),
        ({"parts": 11}, "parts must lie between 2 and half of min_songs, 20, got 11"),
        ({"folds": 6}, "folds must lie between 1 and 5"),
        ({"sample_songs": 7}, "sample_songs must be 0 or >= min_songs"),
        ({"negatives": 0}, "negatives must be >= 1"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Protocol(**fields)


def test_too_few_songs_are_refused_with_a_remedy(
    interactions: Interactions, tmp_path: Path
) -> None:
    log = read_plays(triplets(tmp_path / "t.tsv"))
    with pytest.raises(ExperimentError, match=r"no listener has 40 songs, the most have 15.*lower"):
        read_tastes(log, Protocol(min_songs=40))
    with pytest.raises(ExperimentError, match=r"165 of 180 songs, too few to draw 99"):
        next(folds(interactions, Protocol(min_songs=10), seed=0))


def test_the_command_leaves_a_report_and_goes_on_where_it_was(tmp_path: Path) -> None:
    plays, out = triplets(tmp_path / "t.tsv", listeners=45), tmp_path / "run"
    reported = tmp_path / "figures.json"
    given = (
        *("--plays", plays, "--out", out, "--min-songs", 10, "--negatives", 20, "--quick"),
        *("--models", "popularity,itemknn,ease,nnrec,amnn"),
    )
    run = segue("experiment", "amnn", *given, "--json", reported)
    assert run.exit_code == 0, run.output
    assert "45 listeners" in run.output
    figures = json.loads(reported.read_text())
    assert set(figures["models"]) == {"popularity", "itemknn", "ease", "nnrec", "amnn"}
    assert set(figures["histories"]["amnn"]) == {"5", "10", "15", "25"}
    assert figures["models"]["itemknn"]["hr_at_10"] > 0.5
    assert figures["data"]["rows"] == 45 * 15
    for picture in ("figure3-list-length.png", "figure4-history-length.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    page = (out / "report.md").read_text()
    assert "| AMNN | NNRec | HR@10 |" in page
    assert "| AMNN | 25 |" in page
    # Nothing is fitted again: a result that was changed stays as it is.
    kept = out / "ranks" / "popularity-seed0-fold0.npy"
    np.save(kept, np.ones(45, dtype=np.int16))
    assert segue("experiment", "amnn", *given, "--json", reported).exit_code == 0
    assert json.loads(reported.read_text())["models"]["popularity"]["hr_at_10"] == 1.0
    refused = segue("experiment", "amnn", *given[:6], "--negatives", 21, "--quick")
    assert refused.exit_code == 1
    assert "negatives 20, not 21" in refused.output


def test_the_command_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    plays = triplets(tmp_path / "t.tsv", listeners=3)
    refused = segue(
        "experiment", "amnn", "--plays", plays, "--out", tmp_path / "run", "--models", "amnn,lstm"
    )
    assert refused.exit_code == 2
    assert "'lstm': models are popularity" in refused.output
