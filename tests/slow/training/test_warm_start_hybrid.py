"""A hybrid bundle that goes on learning from newer plays, its networks and its ranker."""

from __future__ import annotations

import json

import pytest
import torch

from segue.models.bundles.bundle import read_bundle, write_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.registry import model_of
from tests.slow.training.test_warm_start_gru import START_S, tuesday_sessions, write_plays
from tests.support.cli import segue
from tests.support.toy import number_sessions, paired_sessions, partner, song
from tests.support.toy_hybrid import fit_hybrid, write_hybrid

MONDAY = paired_sessions(20, 300, seed=1)


@pytest.fixture(scope="module")
def tuesday(tmp_path_factory):
    """Return where a hybrid of the first day lies and the one that follows it, and the figures."""
    directory = tmp_path_factory.mktemp("continued")
    songs = Vocabulary()
    log = number_sessions(MONDAY, songs)
    write_hybrid(directory / "first", fit_hybrid(log, songs, epochs=3), log)
    first = read_bundle(directory / "first", kind="hybrid")
    write_bundle(
        directory / "monday",
        kind="hybrid",
        config=first.manifest.config,
        weights=first.weights,
        vocabulary=songs,
        titles={},
        training={"plays": 1800, "to_ms": (START_S + 86_000) * 1000},
        metrics={},
    )
    both = write_plays(directory / "both.csv", MONDAY, tuesday_sessions())
    words = ["train", "hybrid", "--plays", both, "--continue", directory / "monday"]
    words += ["--gru-epochs", 8, "--amnn-epochs", 3, "--json", directory / "figures.json"]
    result = segue(*words, "--out", str(directory / "tuesday"))
    assert result.exit_code == 0, (result.output, result.exc_info)
    figures = json.loads((directory / "figures.json").read_text())
    return directory, figures


def bundles(directory):
    return [read_bundle(directory / day, kind="hybrid") for day in ("monday", "tuesday")]


def best_next(bundle, *heard):
    numbers = bundle.vocabulary.numbers(heard)
    [scores] = model_of(bundle).scores(Contexts.of(Ragged.of([numbers])))
    scores = scores.index_fill(0, torch.tensor(numbers), -torch.inf)
    return bundle.vocabulary.song(int(scores.argmax()))


def test_new_songs_are_learned_and_old_ones_stay(tuesday):
    directory, figures = tuesday
    before, after = bundles(directory)
    assert figures["new_songs"] == 20
    assert figures["mrr_at_20"] > figures["before_mrr_at_20"] + 0.1
    known = before.vocabulary.song_ids
    assert list(after.vocabulary.song_ids[: len(known)]) == list(known)
    assert best_next(after, song(4)) == partner(song(4))
    assert best_next(after, song(50)) == partner(song(50))
    reported = after.manifest.training
    assert reported["plays"] == 1800 + sum(map(len, tuesday_sessions()))
    assert reported["continued_epochs"] == {
        "gru": figures["gru_epochs"],
        "amnn": figures["amnn_epochs"],
    }


def test_networks_and_ranker_go_on_from_their_weights(tuesday):
    directory, figures = tuesday
    before, after = bundles(directory)
    for part in ("gru.recurrence.", "amnn.", "ranker."):
        names = [name for name in before.weights if name.startswith(part)]
        names = [n for n in names if before.weights[n].shape == after.weights[n].shape]
        pairs = [(before.weights[n].flatten().float(), after.weights[n].flatten()) for n in names]
        old, new = (torch.cat(side) for side in zip(*pairs, strict=True))
        assert not torch.equal(old, new), f"{part} has learned nothing"
        assert torch.cosine_similarity(old, new, dim=0) > 0.8, f"{part} began anew"
    ranker = figures["ranker"]
    assert ranker["now"]["mrr_at_20"] >= ranker["before"]["mrr_at_20"]
    assert torch.equal(
        before.weights["ranker.candidate_mean"], after.weights["ranker.candidate_mean"]
    )


def test_without_newer_plays_there_is_nothing_to_learn(tuesday, tmp_path):
    log = write_plays(tmp_path / "monday.csv", MONDAY[:3])
    words = ["train", "hybrid", "--plays", log, "--continue", tuesday[0] / "monday"]
    result = segue(*list(map(str, [*words, "--out", tmp_path / "x"])))
    assert result.exit_code == 1
    assert "no play is newer than hybrid-" in result.output
