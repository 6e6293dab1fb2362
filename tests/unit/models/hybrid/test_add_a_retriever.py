"""CONTRIBUTING.md followed literally: a new retriever is one small file and one line."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segue.models.bundles.bundle import read_bundle
from segue.models.hybrid.config import UNNAMED_RETRIEVERS
from segue.models.hybrid.model import HybridNextSong
from segue.models.hybrid.retrievers import RETRIEVERS, register
from segue.models.ranking.schema import CANDIDATE_FEATURES
from segue.models.recommenders.base import RecommenderConfig, Request
from segue.models.registry import recommender_of
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.ranker_trainer import Examples, train_ranker
from tests.support.toy import song
from tests.support.toy_hybrid import CONFIG, fit_hybrid, toy_world, write_hybrid
from tests.unit.models.retrieval import test_retriever_contract as contract

ROOT = Path(__file__).parents[4]
SECTION = re.compile(r"^## Add a retriever\n(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_LINES = 60


@pytest.fixture(scope="module")
def code() -> list[str]:
    """Return the two blocks of code: the file, and the line."""
    [section] = SECTION.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    return BLOCK.findall(section)


@pytest.fixture(scope="module")
def directory(code, tmp_path_factory):
    """Register the retriever as the text says, and write a bundle of a hybrid that has it."""
    file, line = code
    path = tmp_path_factory.mktemp("neighborhood") / "followed_by.py"
    path.write_text(file)
    spec = importlib.util.spec_from_file_location("followed_by", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["followed_by"] = module
    spec.loader.exec_module(module)
    exec(line, {"register": register, "FollowedBy": module.FollowedBy})
    log, songs = toy_world()
    config = replace(CONFIG, retrievers=tuple(RETRIEVERS))
    bundle = tmp_path_factory.mktemp("bundles") / "hybrid"
    write_hybrid(bundle, fit_hybrid(log, songs, epochs=1, config=config), log)
    yield bundle
    del sys.modules["followed_by"], RETRIEVERS["followed_by"]


@pytest.fixture(scope="module")
def extended(directory):
    return HybridNextSong.from_bundle(read_bundle(directory, "hybrid"))


def test_it_is_one_small_file_and_one_line(code):
    file, line = code
    assert len(file.splitlines()) + len(line.splitlines()) < MOST_LINES
    assert len(line.splitlines()) == 1


def test_the_bundle_names_it_in_order_and_its_features(directory):
    config = read_bundle(directory, "hybrid").manifest.config
    assert config["retrievers"] == [*UNNAMED_RETRIEVERS, "followed_by"]
    assert config["features"] == [*CANDIDATE_FEATURES, "followed_by", "followed_by_rank"]


def test_lists_name_it_as_a_source(directory):
    config = RecommenderConfig(list_length=8, candidates=20)
    served = recommender_of(read_bundle(directory, "hybrid"), config)
    [listed] = served.recommend([Request([song(4)], ())])
    assert "followed_by" in {each.song_id: each.sources for each in listed}[song(5)]


def test_the_ranker_learns_from_it_and_an_ablation_takes_it_away(extended):
    log, songs = toy_world()
    examples = Examples.of(extended.generator, Predictions.of(log.slice(0, 20), len(songs)))
    vectors, hidden = extended.parts.gru.vectors, CONFIG.gru.hidden
    learned = train_ranker(examples, examples, vectors, hidden, CONFIG.ranker, epochs=1)
    assert learned.network.weights.weight.shape[1] == len(CANDIDATE_FEATURES) + 2
    [(inputs, _), *_] = examples.batches
    assert "followed_by" in inputs.schema.ablations
    [(less, _), *_] = examples.without("followed_by").batches
    for name in ("followed_by", "followed_by_rank"):
        assert len(inputs.feature(name).unique()) > 1
        assert not less.feature(name).any()


def test_its_share_and_rank_are_what_it_returns(extended):
    log, songs = toy_world()
    predictions = Predictions.of(log.slice(0, 20), len(songs))
    inputs = extended.generator.generate(predictions.contexts.take(np.arange(3)))
    ranks = inputs.ranks[:, :, inputs.schema.retriever_names.index("followed_by")]
    by_rank = inputs.feature("followed_by_rank").numpy()
    np.testing.assert_allclose(by_rank, np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0))


def test_it_keeps_to_the_contract(extended):
    retriever = RETRIEVERS["followed_by"].build(extended.parts)
    contexts = contract.listening_contexts(extended.vocabulary)
    contract.test_it_is_documented_and_named_as_it_is_registered(retriever)
    contract.test_items_and_scores_are_aligned_and_padding_comes_last(retriever, contexts)
    contract.test_at_most_limit_items_not_played_before_each_once_best_first(retriever, contexts, 3)
    contract.test_a_row_does_not_depend_on_its_batch(retriever, extended.parts, contexts)
    contract.test_no_contexts_have_no_candidates(retriever, contexts)


def test_bundles_that_name_no_retrievers_have_those_of_before(hybrid_bundle, directory):
    manifest = read_bundle(hybrid_bundle, "hybrid").manifest
    assert "retrievers" not in manifest.config
    before = HybridNextSong.from_bundle(read_bundle(hybrid_bundle, "hybrid"))
    assert before.generator.schema.retriever_names == UNNAMED_RETRIEVERS
    assert before.generator.schema.names == CANDIDATE_FEATURES
