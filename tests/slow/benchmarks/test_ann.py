"""Indexes compared: on small vectors every library is measured, and the figures agree."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from segue.models.data.ragged import Ragged
from segue.models.data.vocabulary import Vocabulary
from segue.offline.benchmarks.ann import (
    INDEXES,
    AnnConfig,
    fastest_with_enough_recall,
    measure_ann,
    measure_index,
    summary,
)
from segue.offline.benchmarks.ann_vectors import (
    AnnVectors,
    asked_of,
    generated_vectors,
    with_albums,
)
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.simulation import WorldConfig, generate_world
from tests.support.cli import segue

SONGS, DIM, K = 2_000, 32, 10
INSTALLED = [name for name, one in INDEXES.items() if find_spec(one.package)]


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


def test_exact_answers_are_the_largest_products(vectors):
    kept = AnnVectors.read(vectors)
    products = kept.queries @ kept.songs.T
    assert (products.argmax(1) == kept.exact[:, 0]).all()
    assert (np.diff(np.take_along_axis(products, kept.exact, axis=1)) <= 0).all()


@pytest.mark.parametrize("name", INSTALLED)
def test_an_index_finds_nearly_all_with_its_largest_setting(name, vectors):
    steps: list[None] = []
    kept = AnnVectors.read(vectors)
    figures = measure_index(name, kept, AnnConfig(k=K), lambda: steps.append(None))
    assert len(steps) == 1 + len(figures["curve"])
    recalls = [point["recall"] for point in figures["curve"]]
    assert recalls[-1] > 0.9
    assert recalls[-1] >= recalls[0] - 0.01  # a wider search finds no less
    assert all(rate > 0 for point in figures["curve"] for rate in point["queries_per_s"].values())
    assert name != "exact" or recalls == [1.0]


@pytest.mark.parametrize(("name", "few", "many"), [("faiss-ivf", 1, 40), ("faiss-hnsw", 10, 400)])
def test_the_parameter_trades_speed_for_recall(name, few, many, vectors):
    config = AnnConfig(k=K, settings=(few, many))
    less, more = measure_index(name, AnnVectors.read(vectors), config)["curve"]
    assert less["recall"] < more["recall"]


def test_the_report_keeps_what_was_measured_before(vectors, tmp_path):
    steps: list[tuple[str, int, int]] = []
    first = AnnConfig(libraries=("exact",), k=K)
    measure_ann(vectors, first, tmp_path, lambda *step: steps.append(step))
    assert steps[0] == ("exact", 0, 2)
    assert steps[-1] == ("exact", 2, 2)
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


def test_an_index_that_is_not_installed_or_takes_too_long_is_named(vectors, monkeypatch):
    absent = replace(INDEXES["usearch"], package="no_such_package")
    monkeypatch.setitem(INDEXES, "usearch", absent)  # type: ignore[arg-type]
    figures = measure_ann(vectors, AnnConfig(libraries=("usearch",), k=K), None)
    assert "pip install 'segue[bench]'" in figures["libraries"]["usearch"]["missing"]
    hasty = AnnConfig(libraries=("exact",), k=K, limit_s=0.01)
    assert "not done" in measure_ann(vectors, hasty, None)["libraries"]["exact"]["missing"]


def test_an_unknown_index_is_answered_with_what_there_is(vectors):
    with pytest.raises(BenchError, match="there are segue, segue-scan"):
        measure_ann(vectors, AnnConfig(libraries=("annoy",)), None)


def test_the_fastest_setting_with_enough_recall_is_chosen():
    def point(setting: int, recall: float, rate: float) -> dict[str, Any]:
        return {"setting": setting, "recall": recall, "queries_per_s": {"32": rate}}

    curve = [point(1, 0.8, 900), point(2, 0.96, 500), point(4, 0.99, 200)]
    assert fastest_with_enough_recall({"curve": curve})["setting"] == 2
    assert fastest_with_enough_recall({"curve": curve[:1]})["setting"] == 1


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
    reported = tmp_path / "figures.json"
    options = ("--library", "exact", "--k", 5, "--json", reported, "--out", tmp_path / "report")
    result = segue("bench", "ann", "--bundle", bundle, *log, *options)
    figures = json.loads(reported.read_text())
    assert figures["dim"] == 16
    assert figures["libraries"]["exact"]["curve"][0]["recall"] == 1.0
    assert "exact" in result.output
    assert (tmp_path / "report" / "report.html").exists()
