"""`segue experiment audio` on a small set of sounds in which genres are easy to hear."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.models.audio.network import AudioConfig, AudioNetwork
from segue.offline.audio.decode import AudioError
from segue.offline.audio.inspect import distinct_units, listen, write_view
from segue.offline.audio.sources import read_spectrograms
from segue.offline.audio.trainer import TrainedAudio
from segue.offline.audio.windows import song_windows
from segue.offline.experiments.cold_start_audio.emotify import EMOTIONS, read_emotify
from segue.offline.experiments.cold_start_audio.runner import split_songs
from segue.offline.experiments.cold_start_audio.summary import Split, gather
from segue.offline.training.trainer import EpochMetrics
from tests.support.cli import segue

GENRES = ("classical", "rock")
SONGS = 20  # of each


@pytest.fixture(scope="module")
def emotify(tmp_path_factory) -> Path:
    """Write songs whose genre is a loud half of the spectrum, and what was said of them."""
    directory = tmp_path_factory.mktemp("emotify")
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 60, size=(2 * SONGS, 16, 140))
    levels[:SONGS, :8] += 150
    levels[SONGS:, 8:] += 150
    names = [f"{genre}/{number + 1}.mp3" for genre in GENRES for number in range(SONGS)]
    np.savez(
        directory / "logmel.npz",
        logmel_u8=levels.astype(np.uint8),
        lo=np.float64(-60),
        hi=np.float64(30),
        track=np.array(names),
        label=np.array([name.partition("/")[0] for name in names]),
    )
    columns = [name.replace("_", " ") for name in EMOTIONS]
    lines = [", ".join(["track id", "genre", *columns, "mood", "liked", "disliked"])]
    for first, genre in zip((1, 101), GENRES, strict=True):
        for number in range(SONGS):
            for _ in range(4):
                felt = rng.integers(2, size=len(EMOTIONS))
                liked = int(rng.random() < (0.8 if genre == "rock" else 0.2))
                said = [first + number, genre, *felt, 3, liked, 1 - liked]
                lines.append(",".join(map(str, said)))
    (directory / "emotions.csv").write_text("\n".join(lines) + "\n")
    return directory


def test_every_part_has_as_many_songs_of_a_genre_and_each_song_is_new_once():
    parts = split_songs(["a"] * 20 + ["b"] * 10, 5, seed=3)
    assert sorted(np.concatenate(parts)) == list(range(30))
    assert [(int((part < 20).sum()), len(part)) for part in parts] == [(4, 6)] * 5
    other = split_songs(["a"] * 20 + ["b"] * 10, 5, seed=4)
    assert any(not np.array_equal(one, two) for one, two in zip(parts, other, strict=True))


def test_words_are_told_of_the_songs_they_were_said_of(emotify):
    songs = read_emotify(emotify)
    assert songs.emotions.shape == (40, len(EMOTIONS))
    assert songs.emotions.mean(0) == pytest.approx(np.zeros(9), abs=1e-9)
    liked = [songs.liking[songs.liking[:, 0] // SONGS == half, 1].mean() for half in (0, 1)]
    assert liked[0] < 0.4 < 0.6 < liked[1]


def test_words_that_are_not_there_are_refused(emotify, tmp_path):
    (tmp_path / "logmel.npz").write_bytes((emotify / "logmel.npz").read_bytes())
    with pytest.raises(AudioError, match=r"emotions\.csv"):
        read_emotify(tmp_path)
    lines = (emotify / "emotions.csv").read_text().splitlines()
    (tmp_path / "emotions.csv").write_text("\n".join(lines[:50]))
    with pytest.raises(AudioError, match="tells of 13 songs of 40"):
        read_emotify(tmp_path)
    (tmp_path / "emotions.csv").write_text("track id,genre\n1,rock\n")
    with pytest.raises(AudioError, match="has no column"):
        read_emotify(tmp_path)


def run(emotify: Path, out: Path) -> str:
    arguments = ["--splits", 2, "--cnn-epochs", 2, "--resnet-epochs", 2, "--width", 4]
    given = ["experiment", "audio", "--emotify", emotify, "--out", out, "--listeners", 40]
    result = segue(*map(str, [*given, *arguments]))
    assert result.exit_code == 0, result.output
    return (out / "audio.md").read_text()


def test_the_experiment_tells_songs_that_are_easy_to_tell(emotify, tmp_path, monkeypatch):
    page = run(emotify, tmp_path)
    found = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert found[""]["MFCC mean and variance"]["precision_at_10"]["mean"] > 0.8  # 9 of 10 at most
    assert found[""]["random"]["precision_at_10"]["mean"] == pytest.approx(9 / 19)
    assert found[""]["popularity"]["all_hit_rate_at_20"]["mean"] == 0
    assert found["factors"]["ridge from MFCC"]["auc"]["mean"] > 0.65
    for space in ("factors", "skipgram"):
        assert "truth: as if listened to" in found[space]
        kept = found[space]["kept: best on validation"]
        assert all(0 <= reported["mean"] <= 1 for reported in kept.values())
    for picture in ("audio-filters.png", "audio-map.png", "audio-units.png"):
        assert picture in page
        assert (tmp_path / picture).read_bytes()[1:4] == b"PNG"
    # What was run is not run again: it would be, without a network to run.
    monkeypatch.setattr(
        "segue.offline.experiments.cold_start_audio.runner.predict_by_network", None
    )
    again = run(emotify, tmp_path)
    assert again.splitlines()[4:8] == page.splitlines()[4:8]


def test_intervals_are_students_over_splits():
    def split(value):
        return Split({"": {"one": {"auc": value}}}, {"factors": "one"}, {})

    reported = gather([split(0.5), split(0.7)])["figures"][""]["one"]["auc"]
    assert reported["mean"] == pytest.approx(0.6)
    # t(0.975, 1) = 12.706, s = 0.1414
    assert reported["ci"][1] - reported["mean"] == pytest.approx(
        12.706 * 0.14142 / 2**0.5, rel=1e-3
    )


def small(architecture: str, bands: int = 16) -> AudioNetwork:
    config = AudioConfig(architecture, 129, bands, 4, width=6, depth=2, dense=32)
    network = AudioNetwork(config)
    network.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():  # it begins by saying the same of all songs
        network.outputs.weight.normal_(generator=torch.Generator().manual_seed(0))
    return network.eval()


@pytest.mark.parametrize(
    ("architecture", "shape"), [("document", (6, 4, 16)), ("residual", (6, 8, 4))]
)
def test_filters_run_along_time_and_then_along_bands(emotify, architecture, shape):
    sound, network = read_spectrograms(emotify / "logmel.npz"), small(architecture)
    began = torch.zeros_like(network.encoder.first_filters())
    assert listen(network, began, sound, np.arange(2)).filters.shape == shape


def test_units_that_say_the_same_are_told_of_once():
    rng = np.random.default_rng(0)
    loud, other, quiet = rng.normal(size=(3, 50)) * np.array([[3], [2], [1]])
    features = np.stack([quiet, 2.9 * loud, other, 3 * loud, -2.8 * loud], 1).astype(np.float32)
    assert distinct_units(features, 3).tolist() == [3, 2, 0]


def test_the_songs_that_excite_a_unit_are_those_whose_features_are_largest(emotify):
    sound, network = read_spectrograms(emotify / "logmel.npz"), small("document")
    rows = np.arange(0, 40, 2)
    began = network.encoder.first_filters()
    view = listen(network, began, sound, rows)
    assert not view.filters.any()
    features = np.stack(
        [network.song_features(song_windows(sound.spectrograms[row], 129)).numpy() for row in rows]
    )
    for unit, excited in zip(view.units, view.excited, strict=True):
        assert features[excited[0], unit] == features[:, unit].max()
    assert not (view.nearest(3) == np.arange(20)[:, None]).any()
    assert view.song_ids[1] == "classical/3"


def test_a_page_says_whether_the_network_knows_the_songs(emotify, tmp_path):
    sound = read_spectrograms(emotify / "logmel.npz")
    network = small("residual")
    began = torch.zeros_like(network.encoder.first_filters())
    fitted = TrainedAudio(network, [], EpochMetrics(1, 0.0, 1.0), "", 0.0, began)
    write_view(tmp_path, fitted, sound, np.arange(8), learned=True)
    assert "8 songs that it has learned from" in (tmp_path / "hears.md").read_text()
    write_view(tmp_path / "few", fitted, sound, np.arange(3))
    assert not (tmp_path / "few" / "audio-map.png").exists()
    assert "audio-map" not in (tmp_path / "few" / "hears.md").read_text()
