"""`segue embed`: vectors of songs into a bundle, and from there into lists."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from segue.models.bundles.bundle import read_bundle, write_bundle
from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.cold_start.embedding_alignment import Alignment
from segue.models.data.catalogue import SongDetails
from segue.models.data.ragged import Ragged
from segue.models.refresh.bundle_refresh import NewPlays, extended, refresh_bundle
from segue.models.refresh.embedding_refresh import Content, RefreshConfig
from segue.offline.operations.catalogue import write_songs
from segue.offline.training.embed_songs import SONG_IDS, VECTORS, EmbeddingError, read_vectors
from segue.stream.messages.songs import read_songs
from tests.support.cli import segue
from tests.support.toy import number_sessions, song
from tests.support.toy_hybrid import CONFIG


def write_vectors(file, songs):
    save_file({VECTORS: songs.vectors}, file, {SONG_IDS: json.dumps(list(songs.song_ids))})


def own_vectors(directory, file, extra=()):
    """Write vectors of a space that is the bundle's, turned and stretched to more numbers."""
    bundle = read_bundle(directory, "hybrid")
    rows = bundle.weights["skipgram.vectors"].numpy()[1:]
    known = list(bundle.vocabulary.song_ids)
    chance = np.random.default_rng(0)
    turn = chance.normal(size=(rows.shape[1], 20)).astype(np.float32)
    place = {song_id: rows[known.index(near)] for song_id, near in extra}
    vectors = np.concatenate([rows, np.stack([*place.values()])]) if place else rows
    write_vectors(file, EmbeddedSongs([*known, *place], vectors @ turn))
    return rows


def test_own_vectors_are_brought_into_the_space_by_the_songs_both_know(hybrid_bundle, tmp_path):
    file, out = tmp_path / "own.safetensors", tmp_path / "next"
    rows = own_vectors(hybrid_bundle, file, [("new-a", song(4)), ("new-b", song(9))])
    run = segue("embed", "--vectors", file, "--bundle", hybrid_bundle, "--out", out)
    assert run.exit_code == 0, run.output
    before, after = read_bundle(hybrid_bundle, "hybrid"), read_bundle(out, "hybrid")
    embedded = EmbeddedSongs.of(after.weights)
    assert embedded.song_ids == ["new-a", "new-b"]
    expected = rows[[before.vocabulary.number(song(n)) - 1 for n in (4, 9)]]
    assert (embedded.vectors * expected).sum(1) == pytest.approx(1, abs=0.02)
    assert after.manifest.training["embedded_into"] == before.manifest.version
    assert after.manifest.version != before.manifest.version
    for name, tensor in before.weights.items():
        assert torch.equal(tensor, after.weights[name])


def test_alignment_tells_how_well_it_does_on_songs_it_has_not_learned_from():
    chance = np.random.default_rng(1)
    own = chance.normal(size=(300, 12)).astype(np.float32)
    places = own @ chance.normal(size=(12, 6)).astype(np.float32)
    good = Alignment.fit(own, places)
    noise = Alignment.fit(own, chance.normal(size=(300, 6)).astype(np.float32))
    assert good.cosine > 0.95
    assert abs(noise.cosine) < 0.3
    assert np.linalg.norm(good.align(own), axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("song_ids", "vectors", "words", "problem"),
    [
        (["x"], np.ones((1, 8)), (), "only 0 of 1 vectors"),
        (["x"], np.ones((1, 5)), ("--aligned",), "5 numbers, but the bundle's space has 8"),
        (["song-4"], np.ones((1, 8)), ("--aligned",), "give new ones"),
        (["x", "x"], np.ones((2, 8)), ("--aligned",), "stands twice"),
        (["x"], np.full((1, 8), np.nan), ("--aligned",), "finite"),
        (["x", "y"], np.ones((1, 8)), ("--aligned",), "one row a song"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(
    hybrid_bundle, tmp_path, song_ids, vectors, words, problem
):
    file = tmp_path / "own.safetensors"
    write_vectors(file, EmbeddedSongs(song_ids, vectors.astype(np.float32)))
    run = segue(
        "embed", "--vectors", file, "--bundle", hybrid_bundle, "--out", tmp_path / "next", *words
    )
    assert run.exit_code == 1
    assert problem in run.output
    assert not (tmp_path / "next").exists()


def test_a_file_that_holds_no_vectors_is_refused(tmp_path):
    file = tmp_path / "own.safetensors"
    file.write_text(json.dumps({"vectors": []}))
    with pytest.raises(EmbeddingError, match="give a safetensors file"):
        read_vectors(file)


def test_audio_needs_a_model_and_one_source_is_enough(hybrid_bundle, tmp_path):
    for words in ((), ("--audio", tmp_path), ("--model", tmp_path)):
        run = segue("embed", *words, "--bundle", hybrid_bundle, "--out", tmp_path / "next")
        assert run.exit_code == 2
        assert "give --audio and --model, or --vectors" in run.output


def test_a_ranker_that_never_saw_such_songs_is_refused(hybrid_bundle, tmp_path):
    bundle = read_bundle(hybrid_bundle, "hybrid")
    write_bundle(
        tmp_path / "old",
        kind="hybrid",
        config={**bundle.manifest.config, "content": None},
        weights=bundle.weights,
        vocabulary=bundle.vocabulary,
        titles={},
        training={},
        metrics={},
    )
    own_vectors(hybrid_bundle, tmp_path / "own", [("x", song(1))])
    run = segue(
        "embed",
        *("--vectors", tmp_path / "own", "--bundle", tmp_path / "old", "--out", tmp_path / "new"),
    )
    assert run.exit_code == 1
    assert "has never seen a song without plays" in run.output


def test_a_refresh_keeps_what_is_known_by_sound_but_for_songs_that_have_plays_now(
    hybrid_bundle, tmp_path
):
    file, out = tmp_path / "own.safetensors", tmp_path / "next"
    vectors = np.eye(2, CONFIG.skipgram.dim, dtype=np.float32)
    write_vectors(file, EmbeddedSongs(["played", "not-played"], vectors))
    run = segue("embed", "--vectors", file, "--aligned", "--bundle", hybrid_bundle, "--out", out)
    assert run.exit_code == 0, run.output
    bundle = read_bundle(out, "hybrid")
    songs = extended(bundle)
    log = number_sessions([[song(4), "played", song(5)]] * 30, songs)
    plays = NewPlays(songs, log, Ragged.of([]), 1.0)
    made = refresh_bundle(bundle, plays, RefreshConfig(epochs=1))
    company = 3 * np.eye(2, CONFIG.skipgram.dim, dtype=np.float32)[1:]
    start = Content(vectors[:1], CONFIG.content.plays).blended(company, np.array([30]))
    weight = 30 / (30 + CONFIG.content.plays)
    expected = np.array([1 - weight, weight]) / np.hypot(weight, 1 - weight)
    assert start[0, :2] == pytest.approx(3 * expected, abs=1e-5)
    kept = EmbeddedSongs.of(made.weights)
    assert kept.song_ids == ["not-played"]
    assert (kept.vectors == vectors[1:]).all()


def test_a_catalogue_for_a_replay_gets_decoys_and_no_worker_does(hybrid_bundle, tmp_path):
    values, out = tmp_path / "values.jsonl", tmp_path / "songs.jsonl"
    known = {song(1): SongDetails(artist="Can"), "new": SongDetails(artist="Neu!")}
    write_songs(values, known)
    words = ["songs", "--values", values, "--unplayed-songs", 4, "--bundle", hybrid_bundle]
    run = segue(*words, "--out", out)
    assert run.exit_code == 0, run.output
    made = read_songs(out)
    assert len(made) == 6
    assert {song_id: made[song_id] for song_id in known} == known
    run = segue(*words)
    assert "workers must not get artificial songs" in run.output
