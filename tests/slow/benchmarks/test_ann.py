"""Indexes compared: on small vectors every library is measured, and the figures agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from segue.models.data.ragged import Ragged
from segue.models.data.vocabulary import Vocabulary
from segue.offline.benchmarks.ann.base import LIBRARIES, Library
from segue.offline.benchmarks.ann.report import chosen, summary
from segue.offline.benchmarks.ann.runner import AnnConfig, measure_ann
from segue.offline.benchmarks.ann.subject import AnnTask, Truth, measure, steps_of
from segue.offline.benchmarks.ann.vectors import (
    AnnVectors,
    asked_of,
    generated_vectors,
    with_albums,
)
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.simulation import WorldConfig, generate_world
from tests.support.cli import segue

SONGS, DIM, K = 2_000, 32, 10
INSTALLED = [name for name, one in LIBRARIES.items() if one.missing() is None]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> Path:
    """Songs around 60 centres, as trained songs lie, and queries near them."""
    chance = torch.Generator().manual_seed(0)
    centres = torch.randn(60, DIM, generator=chance)
    near = centres[torch.randint(0, 60, (SONGS + 512,), generator=chance)]
    made = F.normalize(near + 0.6 * torch.randn(near.shape, generator=chance), dim=1).numpy()
    directory = tmp_path_factory.mktemp("vectors")
    about = {"made": "made up", "plays": None, "seed": 0}
    AnnVectors.of(made[:SONGS], made[SONGS:], about, seed=0).write(directory)
    return directory


def task(name: str, vectors: Path, *settings: int) -> AnnTask:
    return AnnTask(name, str(vectors), K, 1, 1, settings or None)


def test_exact_answers_are_the_largest_products(vectors):
    kept = AnnVectors.read(vectors)
    products = kept.queries @ kept.songs.T
    assert (products.argmax(1) == kept.exact[:, 0]).all()
    assert (np.diff(np.take_along_axis(products, kept.exact, axis=1)) <= 0).all()


def test_recall_counts_right_answers_of_the_songs_that_are_there(vectors):
    kept = AnnVectors.read(vectors)
    truth = Truth(kept, K)
    assert truth.recall(kept.exact[:, :K]) == 1.0
    half = np.where(np.arange(K) < K // 2, kept.exact[:, :K], -1)
    assert truth.recall(half) == 0.5
    assert truth.first == SONGS - SONGS // 100
    left = np.stack([row[~np.isin(row, truth.removed)][:K] for row in kept.exact])
    assert truth.recall(left, after=True) == 1.0
    assert truth.recall(kept.exact[:, :K], after=True) < 1.0


@pytest.mark.parametrize("name", INSTALLED)
def test_a_library_finds_adds_removes_and_is_read_back(name, vectors):
    steps: list[str] = []
    asked = task(name, vectors)
    figures = measure(asked, steps.append)
    assert len(steps) == steps_of(asked)
    recalls = [point["recall"] for point in figures["curve"]]
    assert recalls[-1] > 0.9
    assert recalls[-1] >= recalls[0] - 0.01  # a wider search finds no less
    assert all(rate > 0 for point in figures["curve"] for rate in point["queries_per_s"].values())
    assert figures["recall_before_add"] > 0.9
    assert figures["recall_after_load"] == pytest.approx(recalls[-1], abs=0.02)
    if figures["remove_s"] is not None:
        assert figures["removed_found"] == 0
        assert figures["recall_after_remove"] > 0.9


def test_exact_search_finds_all(vectors):
    assert [p["recall"] for p in measure(task("exact", vectors))["curve"]] == [1.0]


@pytest.mark.parametrize(("name", "few", "many"), [("faiss-ivf", 1, 40), ("faiss-hnsw", 10, 400)])
def test_the_knob_buys_recall(name, few, many, vectors):
    less, more = measure(task(name, vectors, few, many))["curve"]
    assert less["recall"] < more["recall"]


def test_the_report_tells_of_every_library_and_keeps_what_was_measured(vectors, tmp_path):
    steps: list[tuple[str, int, int]] = []
    first = AnnConfig(libraries=("exact",), k=K)
    measure_ann(vectors, first, tmp_path, lambda *step: steps.append(step))
    assert steps[0] == ("exact", 0, 6)
    assert steps[-1] == ("exact", 6, 6)
    figures = measure_ann(vectors, AnnConfig(libraries=("faiss-pq4",), k=K), tmp_path)
    assert list(figures["libraries"]) == ["exact", "faiss-pq4"]
    header, rows = summary(figures)
    assert [len(row) for row in rows] == [len(header)] * 2
    report = (tmp_path / "report.md").read_text()
    assert "| exact |" in report
    assert "| faiss-pq4 |" in report
    assert (tmp_path / "recall.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    with pytest.raises(BenchError, match="other vectors, k or threads"):
        measure_ann(vectors, AnnConfig(libraries=("exact",), k=5), tmp_path)


def test_a_library_that_is_not_there_or_takes_too_long_is_named(vectors, monkeypatch):
    absent = Library("ann_graphs", "Usearch", "no_such_package", "none", "nothing")
    monkeypatch.setitem(LIBRARIES, "usearch", absent)  # type: ignore[arg-type]
    figures = measure_ann(vectors, AnnConfig(libraries=("usearch",), k=K), None)
    assert "pip install 'segue[bench]'" in figures["libraries"]["usearch"]["missing"]
    hasty = AnnConfig(libraries=("exact",), k=K, limit_s=0.01)
    assert "not done" in measure_ann(vectors, hasty, None)["libraries"]["exact"]["missing"]


def test_an_unknown_library_is_answered_with_what_there_is(vectors):
    with pytest.raises(BenchError, match="there are segue, segue-scan"):
        measure_ann(vectors, AnnConfig(libraries=("annoy",)), None)


def test_the_fastest_setting_that_finds_enough_is_told():
    def point(setting: int, recall: float, rate: float) -> dict[str, Any]:
        return {"setting": setting, "recall": recall, "queries_per_s": {"32": rate}}

    curve = [point(1, 0.8, 900), point(2, 0.96, 500), point(4, 0.99, 200)]
    assert chosen({"curve": curve})["setting"] == 2
    assert chosen({"curve": curve[:1]})["setting"] == 1


@pytest.mark.parametrize("model", ["gru", "skipgram"])
def test_vectors_are_learned_once_and_kept(model, tmp_path):
    said: list[str] = []
    kept = generated_vectors(tmp_path, 600, model, 1, said.append)
    found = AnnVectors.read(kept)
    assert found.songs.shape == (600, 128)
    assert len(found.queries) > 100
    assert len(said) == 2
    assert generated_vectors(tmp_path, 600, model, 1, said.append) == kept
    assert len(said) == 2


def test_every_song_is_heard_with_its_album():
    log = generate_world(WorldConfig(songs=600, genres=4, listeners=3), seed=1).log
    heard = with_albums(log, 2)
    assert heard.plays.height == log.plays.height + 2 * 600
    assert heard.plays["song_id"].value_counts()["count"].min() >= 2
    albums = heard.plays.filter(pl.col("user_id").str.starts_with("album"))
    named = albums.join(log.songs, on="song_id").group_by("session_id").agg("album")
    assert (named["album"].list.n_unique() == 1).all()
    assert named["album"].list.len().max() > 1


def test_a_model_without_queries_is_refused():
    class Silent:
        vocabulary = Vocabulary()

    with pytest.raises(BenchError, match="asks no index"):
        asked_of(Silent(), Ragged.of([[1]]))  # type: ignore[arg-type]


def test_the_command_takes_vectors_of_a_bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_DATA_DIR", str(tmp_path / "data"))
    plays, bundle = tmp_path / "plays.txt", tmp_path / "bundle"
    rng = np.random.default_rng(0)
    sessions = [[f"song-{n}" for n in rng.integers(0, 300, 8)] for _ in range(400)]
    plays.write_text("".join(" ".join(session) + "\n" for session in sessions))
    log = ("--plays", plays, "--format", "sessions")
    quick = ("--epochs", 1, "--dim", 16, "--no-refit")
    assert segue("train", "gru", *log, "--out", bundle, *quick).exit_code == 0
    told = tmp_path / "figures.json"
    options = ("--library", "exact", "--k", 5, "--json", told, "--out", tmp_path / "report")
    result = segue("bench", "ann", "--bundle", bundle, *log, *options)
    figures = json.loads(told.read_text())
    assert figures["dim"] == 16
    assert figures["libraries"]["exact"]["curve"][0]["recall"] == 1.0
    assert "exact" in result.output
    assert (tmp_path / "report" / "report.html").exists()
