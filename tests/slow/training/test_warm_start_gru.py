"""A GRU bundle that goes on learning from newer plays."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import torch

from segue.models.bundles.bundle import read_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.registry import model_of
from tests.support.cli import segue
from tests.support.toy import paired_sessions, partner, song

START_S = 1_700_000_000
DAY_S = 86_400


def write_plays(file, *days):
    """Write a log: one list of sessions a day, sessions a minute apart, plays a second."""
    rows = [
        f"u{day}-{number},{song_id},{START_S + day * DAY_S + number * 60 + place}"
        for day, sessions in enumerate(days)
        for number, session in enumerate(sessions)
        for place, song_id in enumerate(session)
    ]
    file.write_text("\n".join(["user_id,song_id,played_at", *rows]) + "\n")
    return file


@pytest.fixture(scope="module")
def monday(tmp_path_factory):
    """Return a bundle of the first day's pairs 0 to 19, and its directory."""
    directory = tmp_path_factory.mktemp("continued")
    log = write_plays(directory / "monday.csv", paired_sessions(20, 300, seed=1))
    assert train(log, directory / "monday", "--epochs", 8, "--dim", 16).exit_code == 0
    return directory


def train(log, out, *words):
    arguments = ["train", "gru", "--plays", log, "--out", out, "--seed", 0, *words]
    result = segue(*list(map(str, arguments)))
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return result


def tuesday_sessions():
    """Return sessions of pairs 20 to 29, which nobody heard on Monday, among the old ones."""
    shifted = paired_sessions(30, 400, seed=2)
    return [session for session in shifted if any(int(s[5:]) >= 40 for s in session)]


def best_next(bundle, *heard):
    model = model_of(bundle)
    numbers = bundle.vocabulary.numbers(heard)
    [scores] = model.scores(Contexts.of(Ragged.of([numbers])))
    scores = scores.index_fill(
        0, torch.tensor(numbers), -torch.inf
    )  # whether it is played again is not the question
    return bundle.vocabulary.song(int(scores.argmax()))


def test_new_songs_are_learned_and_old_ones_stay(monday, tmp_path):
    log = write_plays(tmp_path / "both.csv", paired_sessions(20, 300, seed=1), tuesday_sessions())
    words = ("--continue", monday / "monday", "--epochs", 12, "--patience", 12)
    result = train(log, tmp_path / "tuesday", *words, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    before = read_bundle(monday / "monday")
    after = read_bundle(tmp_path / "tuesday")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["new_songs"] == 20
    assert figures["mrr_at_20"] > figures["before_mrr_at_20"] + 0.1
    known = before.vocabulary.song_ids
    assert list(after.vocabulary.song_ids[: len(known)]) == list(known)
    assert best_next(after, song(4)) == partner(song(4))
    assert best_next(after, song(50)) == partner(song(50))
    reported = after.manifest.training
    newest = START_S + DAY_S + (len(tuesday_sessions()) - 1) * 60 + 5
    assert datetime.fromtimestamp(reported["to_ms"] / 1000, UTC).timestamp() == newest
    assert reported["continued_from"] == before.manifest.version
    assert reported["plays"] == 1800 + sum(map(len, tuesday_sessions()))
    assert after.weights["popularity"].sum() == reported["plays"]


def test_the_same_again_is_the_same(monday, tmp_path):
    log = write_plays(tmp_path / "both.csv", [], tuesday_sessions())
    for name in ("one", "two"):
        result = train(log, tmp_path / name, "--continue", monday / "monday", "--epochs", 1)
        assert result.exit_code == 0, result.output
    versions = {read_bundle(tmp_path / name).manifest.version for name in ("one", "two")}
    assert len(versions) == 1


def test_without_newer_plays_there_is_nothing_to_learn(monday, tmp_path):
    result = train(monday / "monday.csv", tmp_path / "again", "--continue", monday / "monday")
    assert result.exit_code == 1
    assert "no play is newer than gru-" in result.output
