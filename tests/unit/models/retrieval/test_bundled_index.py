"""The index beside a refreshed bundle: mapped, not made again, and never another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segue.models.bundles.bundle import INDEX, BundleError, read_bundle
from segue.models.recommenders.base import RecommenderConfig, Request
from segue.models.registry import recommender_of
from segue.models.retrieval.ann_index import IndexConfig, ItemIndex, index_of
from segue.stream.refresh.refresh import RefreshPlan, refresh
from segue.stream.refresh.sessions import Session
from tests.support.toy import song, write_toy_bundle

SONGS = IndexConfig().scanned_songs + 100  # so many that the index has cells, which are mapped


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """Return the directory of a refreshed bundle of so many songs that they need an index."""
    root = tmp_path_factory.mktemp("bundles")
    write_toy_bundle(root / "first", songs=SONGS)
    sessions = [Session(f"u{n}", [song(n), "new"], [n, n + 1], [None] * 2) for n in range(1, 40)]
    outcome = refresh(root, root / "first", sessions, [], RefreshPlan(held_back=0.0))
    return root / outcome.served.location


def lists(bundle):
    made = recommender_of(bundle, RecommenderConfig())
    requests = [Request((song(n), song(n + 7)), ()) for n in range(5)]
    return [[each.song_id for each in one] for one in made.recommend(requests)]


def test_a_refresh_leaves_the_index_beside_its_bundle_and_workers_map_it(refreshed):
    bundle = read_bundle(refreshed)
    assert bundle.index == refreshed / INDEX
    made = recommender_of(bundle, RecommenderConfig())
    assert str(refreshed / INDEX) in Path("/proc/self/maps").read_text()
    assert made.retriever.index.songs == SONGS + 1


def test_lists_are_the_same_as_by_an_index_that_is_built(refreshed):
    bundle = read_bundle(refreshed)
    assert lists(bundle) == lists(replace(bundle, index=None))


def test_where_the_vectors_are_others_the_index_is_built(refreshed):
    bundle = read_bundle(refreshed)
    vectors = torch.nn.functional.normalize(torch.randn(SONGS + 2, 8), dim=-1)
    found, built = index_of(bundle, vectors), ItemIndex(vectors)
    assert torch.equal(found.search(vectors[5:9], 9)[1], built.search(vectors[5:9], 9)[1])


def test_one_that_was_changed_is_refused(refreshed, tmp_path):
    (tmp_path / "copy").mkdir()
    for file in refreshed.iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    content = bytearray((refreshed / INDEX).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "copy" / INDEX).write_bytes(content)
    with pytest.raises(BundleError, match=r"index\.faiss: its sha256 is"):
        read_bundle(tmp_path / "copy")


def test_few_songs_need_none(tmp_path):
    write_toy_bundle(tmp_path / "first", songs=50)
    sessions = [Session(f"u{n}", [song(n), song(n + 1)], [n, n + 1], [None] * 2) for n in range(40)]
    outcome = refresh(tmp_path, tmp_path / "first", sessions, [], RefreshPlan(held_back=0.0))
    assert read_bundle(tmp_path / outcome.served.location).index is None
