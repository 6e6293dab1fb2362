"""A hybrid's config names its retrievers, in any order, and how many songs each returns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.hybrid.candidate_generation import CandidateGenerator
from segue.models.hybrid.config import UNNAMED_RETRIEVERS, HybridConfig, RetrievalConfig
from segue.models.hybrid.retrievers import RETRIEVERS, limit_of, register
from segue.models.ranking.schema import CANDIDATE_FEATURES

CONTEXTS = Contexts.of(Ragged.of([[3, 4], [7]]), Ragged.of([[9], [5, 6]]))


def generator_of(hybrid, **changes):
    config = replace(hybrid.parts.config, **changes)
    return CandidateGenerator(replace(hybrid.parts, config=config))


def test_the_registered_are_those_of_bundles_that_name_none():
    assert tuple(RETRIEVERS) == UNNAMED_RETRIEVERS


def test_fewer_in_another_order_fill_the_same_columns(hybrid):
    every = hybrid.generator.generate(CONTEXTS)
    some = generator_of(hybrid, retrievers=("rules", "tree")).generate(CONTEXTS)
    assert some.schema.names == CANDIDATE_FEATURES
    assert some.schema.retriever_names == ("rules", "tree")
    for row in range(len(some)):
        for slot, item in enumerate(some.items[row].tolist()):
            if item:
                there = every.items[row].tolist().index(item)
                for number, name in enumerate(some.schema.retriever_names):
                    same = every.ranks[row, there, UNNAMED_RETRIEVERS.index(name)]
                    assert some.ranks[row, slot, number] == same
                for name in ("rules", "rules_rank", "tree", "tree_rank", "age", "like_last"):
                    assert some.feature(name)[row, slot] == every.feature(name)[row, there]
    assert not some.feature("blend_rank").any()


def test_the_limits_are_those_of_the_config():
    config = HybridConfig(retrieval=RetrievalConfig(tree=7, others={"new": 3}))
    limits = {name: limit_of(name, config) for name in (*RETRIEVERS, "new")}
    assert limits["tree"] == 7
    assert limits["live"] == config.retrieval.live.live
    assert limits["content"] == config.content.songs
    assert limits["new"] == 3
    assert limit_of("content", replace(config, content=None)) == 0


def test_a_retriever_that_is_not_registered_is_named(hybrid):
    with pytest.raises(KeyError, match="retriever mood: registered are gru, neighbours"):
        generator_of(hybrid, retrievers=("gru", "mood"))


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "1 to 15, got 0"), (("gru", "gru"), "each once"), (tuple("abcdefghijklmnop"), "got 16")],
)
def test_a_config_of_none_too_many_or_one_twice_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        HybridConfig(retrievers=names)


def test_a_name_that_is_taken_or_a_missing_docstring_is_refused():
    def undocumented(parts):
        raise NotImplementedError

    for name in ("gru", "age", "tree_rank"):
        with pytest.raises(ValueError, match="the name is taken"):
            register(name, undocumented)
    with pytest.raises(ValueError, match="needs a docstring"):
        register("mood", undocumented)
    assert tuple(RETRIEVERS) == UNNAMED_RETRIEVERS
