"""`segue similar` on both kinds of bundle that have song vectors."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.models.bundles.bundle import read_bundle, write_bundle
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import gru_from_bundle
from segue.models.item2vec.scorer import SkipGramNextSong, bundle_weights
from segue.models.item2vec.skipgram import SkipGram, SkipGramConfig
from tests.support.cli import segue
from tests.support.toy import song, write_toy_bundle

TITLES = {song(0): ("Vitamin C", "Can"), song(1): ("Halleluwah", "Can"), song(2): ("[b]", "")}


@pytest.fixture
def skipgram(tmp_path: Path) -> Path:
    inputs = np.array([[0, 0], [1, 0], [4, 3], [0, 2], [-1, 0]], np.float32)
    vectors = SkipGram(inputs, inputs.copy(), np.arange(5), epochs=1, learning_rate=1e-4)
    write_bundle(
        tmp_path / "songs",
        kind="skipgram",
        config=asdict(SkipGramConfig(dim=2)),
        weights=bundle_weights(vectors),
        vocabulary=Vocabulary(map(song, range(4))),
        titles=TITLES,
        training={},
        metrics={},
    )
    return tmp_path / "songs"


def test_the_nearest_come_first_with_cosines_worked_by_hand(skipgram: Path, tmp_path: Path) -> None:
    reported = tmp_path / "near.json"
    run = segue("similar", "vitamin", "--bundle", skipgram, "-n", 2, "--json", reported)
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert figures["of"] == [{"song_id": song(0), "title": "Vitamin C", "artist": "Can"}]
    assert [each["song_id"] for each in figures["songs"]] == [song(1), song(2)]
    assert [each["cosine"] for each in figures["songs"]] == pytest.approx([0.8, 0.0])
    assert "Halleluwah - Can" in run.output
    assert "█" * 16 in run.output
    assert "[b]" in run.output


def test_a_listener_is_the_mean_of_their_songs(skipgram: Path, tmp_path: Path) -> None:
    reported = tmp_path / "near.json"
    run = segue(
        "similar", "--user-songs", f"vitamin, {song(2)}", "--bundle", skipgram, "--json", reported
    )
    assert run.exit_code == 0, run.output
    songs = json.loads(reported.read_text())["songs"]
    # The mean of (1, 0) and (0, 2) is (0.5, 1); with (4, 3) / 5 that makes 1 / sqrt 1.25.
    assert songs[0]["song_id"] == song(1)
    assert songs[0]["cosine"] == pytest.approx(1 / 1.25**0.5)
    assert song(0) not in {each["song_id"] for each in songs}


def test_the_vectors_of_a_gru_do_as_well(tmp_path: Path) -> None:
    write_toy_bundle(tmp_path / "gru")
    reported = tmp_path / "near.json"
    run = segue("similar", song(0), "--bundle", tmp_path / "gru", "--json", reported)
    assert run.exit_code == 0, run.output
    vectors = gru_from_bundle(read_bundle(tmp_path / "gru")).item_vectors()
    cosines = torch.cosine_similarity(vectors[2:], vectors[1:2])
    songs = json.loads(reported.read_text())["songs"]
    assert songs[0]["song_id"] == song(int(cosines.argmax()) + 1)
    assert songs[0]["cosine"] == pytest.approx(float(cosines.max()), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either SONG or --user-songs"),
        (["vitamin", "--user-songs", "vitamin"], "either SONG or --user-songs"),
        (["--user-songs", " , "], "names no song"),
        (["nobody"], "Error: the bundle knows no song"),
        (["--user-songs", "vitamin,nobody"], "Error: the bundle knows no song"),
    ],
)
def test_what_it_cannot_do_is_refused(skipgram: Path, arguments: list[str], message: str) -> None:
    run = segue("similar", *arguments, "--bundle", skipgram)
    assert run.exit_code != 0
    assert message in run.output
    assert "Traceback" not in run.output


def test_a_model_without_song_vectors_is_refused(
    skipgram: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SkipGramNextSong, "song_vectors")
    run = segue("similar", "vitamin", "--bundle", skipgram)
    assert run.exit_code == 1
    assert "'skipgram' model has no song vectors" in run.output
