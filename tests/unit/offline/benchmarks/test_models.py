"""A hybrid put together for speed is a hybrid, and its lists are measured beside its plain form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.models.hybrid.model import HybridNextSong
from segue.models.registry import open_model
from segue.offline.benchmarks.dataset import HELD_BACK, SESSION_GAP_S, with_every_song, world_config
from segue.offline.benchmarks.in_process import WorldFeed, requests_of, scratch_store
from segue.offline.benchmarks.large_hybrid import assemble_hybrid
from segue.offline.benchmarks.models import (
    ListsConfig,
    PlainRanked,
    measure_lists,
)
from segue.offline.simulation import generate_world
from segue.stream.config.settings import load_settings
from segue.stream.serving.factory import load_recommender
from tests.support.toy import PAIRS, numbered, paired_sessions
from tests.support.toy_hybrid import fit_hybrid, write_hybrid

SONGS, PLAYS = 200, 5_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: Any) -> Path:
    """Return a hybrid bundle that was trained in full."""
    directory: Path = tmp_path_factory.mktemp("small") / "hybrid"
    log, songs = numbered(paired_sessions(PAIRS, 60, seed=3))
    write_hybrid(directory, fit_hybrid(log, songs, epochs=1), log)
    return directory


@pytest.fixture(scope="module")
def kept(small: Path, tmp_path_factory: Any) -> Path:
    """Return a data directory with a world whose hybrid was put together."""
    directory: Path = tmp_path_factory.mktemp("data")
    log = generate_world(world_config(SONGS, int(PLAYS / HELD_BACK)), seed=1).log
    learned, sent = log.split_by_time(1 - HELD_BACK)
    world = directory / "bench" / f"songs-{SONGS}-plays-{PLAYS}-seed-1"
    whole = with_every_song(learned)
    assemble_hybrid(whole, world / "hybrid", small, SESSION_GAP_S, 1, lambda text: None)
    sent.plays.head(PLAYS).write_parquet(world / "plays.parquet")
    return directory


def test_a_hybrid_put_together_knows_every_song_and_ranks_as_the_small_one_does(
    small: Path, kept: Path
) -> None:
    bundle, model = open_model(next((kept / "bench").iterdir()) / "hybrid")
    _, other = open_model(small)
    assert isinstance(model, HybridNextSong)
    assert isinstance(other, HybridNextSong)
    assert len(bundle.vocabulary) == SONGS
    assert (bundle.weights["popularity"][1:] >= 1).all()
    for name, weight in other.ranker.state_dict().items():
        torch.testing.assert_close(model.ranker.state_dict()[name], weight)


def test_lists_are_measured_beside_their_plain_form(kept: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SEGUE_DATA_DIR", str(kept))
    figures = measure_lists(
        ListsConfig(songs=SONGS, plays=PLAYS, requests=256, rounds=1, seconds=0.05),
        lambda text: None,
    )
    assert [one["batch"] for one in figures["batches"]] == [1, 32, 256]
    for one in figures["batches"]:
        assert one["ratio"] == one["hybrid_lists_per_s"] / one["plain_lists_per_s"] > 0
        assert one["popularity_lists_per_s"] > one["hybrid_lists_per_s"]


def test_the_plain_form_ranks_alike(kept: Path, tmp_path: Path) -> None:
    world = next((kept / "bench").iterdir())
    settings = load_settings(bundle=world / "hybrid")
    serving: Any = load_recommender(settings)
    model, popularity = serving.model, open_model(world / "hybrid")[0].weights["popularity"]
    plain = PlainRanked(model.generator, model.ranker, model.vocabulary, popularity)
    import polars as pl

    store = scratch_store(tmp_path, settings)
    feed = WorldFeed(pl.read_parquet(world / "plays.parquet"), settings.topic_partitions)
    requests_of(feed(500), store, settings)
    requests = requests_of(feed(50), store, settings)
    served = serving.recommend(requests)
    serving.model = plain
    plainly = serving.recommend(requests)
    for fast, slow in zip(served, plainly, strict=True):
        assert len(fast) == settings.list_length
        # The plain form ranks by vectors in full, and not by a byte for each of their numbers.
        np.testing.assert_allclose(
            [song.score for song in fast], [song.score for song in slow], atol=2e-2
        )
    store.close()
