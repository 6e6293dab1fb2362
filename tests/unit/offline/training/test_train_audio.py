"""`segue train audio` and what its bundles hear: files in, vectors among known songs out."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from segue.models.audio.network import AudioConfig
from segue.models.bundles.bundle import BundleError, read_bundle, write_bundle
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import bundle_weights
from segue.models.item2vec.skipgram import SkipGram, SkipGramConfig
from segue.offline.audio.decode import AudioError
from segue.offline.audio.embed_files import embed_directory
from segue.offline.audio.sources import read_files
from segue.offline.audio.spectrogram_cache import SpectrogramConfig
from segue.offline.audio.targets import Targets, bundle_targets, factor_targets, play_counts
from segue.offline.audio.train_audio import train_audio_bundle
from segue.offline.audio.trainer import FitConfig, predict, train_audio
from segue.offline.datasets.readers import read_plays
from segue.offline.training.trainer import TrainingError
from tests.support.cli import segue
from tests.support.toy_audio import QUICK, write_genres, write_tone

SPECTROGRAM = SpectrogramConfig(QUICK, frames=103)
SMALL = AudioConfig("document", width=8, dense=16, dropout=0.1)
FIT = FitConfig(epochs=12, batch=4, learning_rate=5e-3, judge_every=3)
DIRECTIONS = {"low": (1.0, 0.0, 0.0), "high": (0.0, 1.0, 0.0)}


def genre_targets(song_ids, space="skipgram", version="skipgram-1"):
    vectors = np.array([DIRECTIONS[song.partition("-")[0]] for song in song_ids], np.float32)
    return Targets(space, song_ids, vectors, np.ones(len(song_ids), np.float32), version)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once on songs of two pitches; give (directory of new songs, bundle, its making)."""
    root = tmp_path_factory.mktemp("audio")
    song_ids = write_genres(root / "known", 6)
    write_genres(root / "new", 2, first=6)
    sound = read_files(root / "known", SPECTROGRAM, workers=2)
    made = train_audio_bundle(
        sound, genre_targets(song_ids), root / "bundle", SMALL, FIT, validation_fraction=0.2
    )
    return root / "new", root / "bundle", made


def test_songs_nobody_has_played_lie_among_those_that_sound_alike(trained):
    new, bundle, _ = trained
    (new / "broken.mp3").write_text("no sound")
    reported = []
    heard = embed_directory(new, bundle, on_file=lambda done, total: reported.append((done, total)))
    assert heard.song_ids == ["high-6", "high-7", "low-6", "low-7"]
    assert [failure.path.name for failure in heard.failures] == ["broken.mp3"]
    assert reported[-1] == (5, 5)
    assert (heard.space, heard.target) == ("skipgram", "skipgram-1")
    assert heard.vectors.dtype == np.float32
    assert np.linalg.norm(heard.vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    for song_id, vector in zip(heard.song_ids, heard.vectors, strict=True):
        assert vector @ DIRECTIONS[song_id.partition("-")[0]] > 0.9


def test_a_bundle_says_what_it_hears_and_whose_space_it_predicts(trained):
    _, directory, made = trained
    bundle = read_bundle(directory, "audio")
    assert bundle.manifest.config["mel"] == asdict(QUICK)
    assert bundle.manifest.config["target"] == "skipgram-1"
    assert bundle.manifest.config["network"]["frames"] == 103
    assert (len(made.learned), len(made.held)) == (9, 3)
    assert made.figures["cosine"] > 0.9


def test_the_same_seed_gives_the_same_bundle(trained, tmp_path):
    new = trained[0]
    versions = {
        train_audio_bundle(
            read_files(new, SPECTROGRAM),
            genre_targets(["high-6", "high-7", "low-6", "low-7"]),
            tmp_path / f"{name}",
            SMALL,
            FitConfig(epochs=1, batch=2),
            seed=seed,
        ).manifest.version
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    }
    assert len(versions) == 2


@pytest.mark.parametrize("loss", ["squared", "weighted", "contrastive"])
@pytest.mark.parametrize("architecture", ["document", "residual"])
def test_every_network_learns_by_every_loss(trained, architecture, loss):
    songs = trained[2].learned
    dim = songs.targets.vectors.shape[1]
    eye = np.tile(np.eye(dim, dtype=np.float32), (len(songs), 1, 1))
    targets = genre_targets(songs.targets.song_ids)
    targets = Targets(*list(vars(targets).values())[:5], squares=eye, products=targets.vectors)
    config = AudioConfig(architecture, 103, 16, dim, width=8, depth=2, dense=16, dropout=0.0)
    fit = FitConfig(loss, epochs=10, batch=3, learning_rate=5e-3, judge_every=10, mixed=True)
    fitted = train_audio(type(songs)(songs.spectrograms, targets), config, fit)
    vectors = predict(fitted.network, songs.spectrograms)
    alike = (vectors * targets.vectors).sum(1) / np.linalg.norm(vectors, axis=1)
    assert alike.mean() > 0.8


def test_the_network_that_did_best_on_songs_held_back_is_kept(trained):
    history = trained[2].fitted.history
    assert [epoch.number for epoch in history] == [3, 6, 9, 12]
    assert trained[2].fitted.centred_cosine == max(
        epoch.validation["centred_cosine"] for epoch in history
    )


@pytest.fixture
def plays(tmp_path):
    """Write a log in which each listener keeps to one genre of songs."""
    rng = np.random.default_rng(0)
    lines = ["user_id,song_id,played_at"]
    for user in range(24):
        genre = ("low", "high")[user % 2]
        for at, song in enumerate(rng.permutation(6)[:4]):
            lines.append(f"u{user},{genre}-{song},{1_700_000_000 + 1000 * user + 100 * at}")
    (tmp_path / "plays.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "plays.csv"


def test_listeners_of_one_genre_make_its_songs_alike(plays):
    counts, song_ids = play_counts(read_plays(plays, None))
    assert counts.sum() == 24 * 4
    assert counts.toarray()[:, [song.startswith("low") for song in song_ids]].sum() == 12 * 4
    from segue.models.collaborative.als import FactorsConfig

    targets = factor_targets(read_plays(plays, None), FactorsConfig(dim=4))
    alike = targets.vectors @ targets.vectors.T
    low = np.array([song.startswith("low") for song in targets.song_ids])
    assert alike[np.ix_(low, low)].mean() > 5 * abs(alike[np.ix_(low, ~low)].mean())


def test_the_command_trains_from_files_and_plays_and_its_bundle_hears(plays, tmp_path):
    write_genres(tmp_path / "music", 6)
    (tmp_path / "music" / "broken.ogg").write_text("no sound")
    out, reported = tmp_path / "bundle", tmp_path / "figures.json"
    arguments = [
        *("--audio", tmp_path / "music", "--plays", plays, "--factors", 4, "--out", out),
        *("--width", 8, "--dense", 16, "--epochs", 6, "--loss", "weighted", "--json", reported),
        *("--cache", tmp_path / "cache", "--report", tmp_path / "hears"),
    ]
    run = segue("train", "audio", *arguments)
    assert run.exit_code == 0, run.output
    assert "broken.ogg: " in run.output
    figures = json.loads(reported.read_text())
    assert (figures["songs"], figures["held_songs"]) == (10, 2)
    page = (tmp_path / "hears" / "hears.md").read_text()
    assert "10 songs that it has learned from" in page  # two held back make no map
    assert len(list((tmp_path / "hears").glob("*.png"))) == page.count(".png)") == 3
    write_tone(tmp_path / "new" / "fresh.mp3", 3_000)
    heard = embed_directory(tmp_path / "new", out, cache=tmp_path / "cache", workers=2)
    assert heard.song_ids == ["fresh"]
    assert heard.space == "factors"
    assert len(list((tmp_path / "cache").iterdir())) == 13


def write_space(directory, kind="skipgram"):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, 3)).astype(np.float32)
    rows[0] = 0
    space = SkipGram(rows, rows.copy(), np.array([0, 3, 2, 1]), 1, 0.1)
    weights = bundle_weights(space)
    if kind == "hybrid":
        weights = {"skipgram.vectors": torch.from_numpy(rows), "popularity": torch.zeros(4)}
    write_bundle(
        directory,
        kind=kind,
        config=asdict(SkipGramConfig(dim=3)),
        weights=weights,
        vocabulary=Vocabulary(["a", "b", "c"]),
        titles={},
        training={},
        metrics={},
    )
    return rows


@pytest.mark.parametrize("kind", ["skipgram", "hybrid"])
def test_targets_are_the_unit_vectors_of_a_bundle(tmp_path, kind):
    rows = write_space(tmp_path / "songs", kind)
    targets = bundle_targets(tmp_path / "songs")
    assert targets.song_ids == ["a", "b", "c"]
    assert np.allclose(targets.vectors, rows[1:] / np.linalg.norm(rows[1:], axis=1)[:, None])
    assert targets.version == read_bundle(tmp_path / "songs", None).manifest.version


def test_a_bundle_without_that_space_is_refused(tmp_path):
    write_space(tmp_path / "songs", "gru")
    with pytest.raises(BundleError, match="'gru' model has no skip-gram space"):
        bundle_targets(tmp_path / "songs")
    with pytest.raises(BundleError, match="segue train audio"):
        embed_directory(tmp_path, tmp_path / "songs")


def test_songs_without_sound_or_sound_without_songs_is_refused(trained, tmp_path):
    sound = read_files(trained[0], SPECTROGRAM)
    with pytest.raises(TrainingError, match=r"such as 'high-6'.*songs\.csv"):
        train_audio_bundle(sound, genre_targets(["low-0"]), tmp_path / "out", SMALL, FIT)
    with pytest.raises(TrainingError, match="1 songs with sound and a vector are left"):
        train_audio_bundle(
            sound,
            genre_targets(["low-6"]),
            tmp_path / "out",
            SMALL,
            FIT,
            validation_fraction=0,
        )
    with pytest.raises(TrainingError, match="another --loss"):
        train_audio_bundle(
            sound,
            genre_targets(["low-6", "low-7", "high-6"]),
            tmp_path / "out",
            SMALL,
            FitConfig("weighted"),
        )
    assert not (tmp_path / "out").exists()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "song.mp3").write_text("no sound")
    with pytest.raises(AudioError, match=r"no file can be decoded; .*song\.mp3"):
        embed_directory(tmp_path / "broken", trained[1])


@pytest.mark.parametrize(
    "arguments", [[], ["--audio", "."], ["--audio", ".", "--plays", "X", "--targets", "."]]
)
def test_the_command_wants_one_sound_and_one_target(plays, arguments):
    given = [str(plays) if each == "X" else each for each in arguments]
    run = segue("train", "audio", *given, "--out", "bundle")
    assert run.exit_code == 2
    assert "give either" in run.output


@pytest.mark.parametrize(("field", "value"), [("loss", "cubic"), ("epochs", 0), ("batch", -1)])
def test_a_fit_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        FitConfig(**{field: value})


def test_outputs_of_the_weighted_error_begin_at_the_best_constant_and_count_alike(trained):
    songs = trained[2].learned
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(len(songs), 3, 3)) * np.array([10.0, 1.0, 0.1])
    squares = (roots.swapaxes(1, 2) @ roots).astype(np.float32)
    products = rng.normal(size=(len(songs), 3)).astype(np.float32)
    names = songs.targets.song_ids
    reported = Targets(
        "factors",
        names,
        rng.normal(size=(len(songs), 3)).astype(np.float32),
        np.ones(len(songs), np.float32),
        squares=squares,
        products=products,
    )
    config = AudioConfig("document", 103, 16, 3, width=4, dense=8)
    fitted = train_audio(
        type(songs)(songs.spectrograms, reported),
        config,
        FitConfig("weighted", 1, learning_rate=1e-9),
    )
    constant = fitted.network.vector_mean.numpy()
    assert constant == pytest.approx(
        np.linalg.solve(squares.mean(0), products.mean(0)), rel=1e-3, abs=1e-4
    )
    scale = fitted.network.vector_scale.numpy()
    curved = scale @ squares.mean(0) @ scale.T
    assert curved == pytest.approx(np.eye(3) * float(curved[0, 0]), abs=0.01 * float(curved[0, 0]))
