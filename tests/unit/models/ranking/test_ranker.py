"""The hybrid: every retriever's candidates with features, ranked, and back from a bundle."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from segue.models.bundles.bundle import BundleError, read_bundle
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.hybrid.config import UNNAMED_RETRIEVERS
from segue.models.hybrid.model import HybridNextSong
from segue.models.hybrid.parts import remembered
from segue.models.ranking.ranker import LOSSES, Ranker, RankerConfig
from segue.models.ranking.schema import CANDIDATE_FEATURES, CONTEXT_FEATURES
from segue.models.registry import open_model
from segue.models.retrieval.candidates import CandidateList, Candidates
from tests.support.toy import PAIRS, log_of, numbered, paired_sessions, song
from tests.support.toy_hybrid import write_hybrid


@pytest.fixture(scope="module")
def world():
    return numbered(paired_sessions(PAIRS, 200, seed=3))


def column(inputs, name):
    return inputs.candidate_features[:, :, CANDIDATE_FEATURES.index(name)]


def contexts_of(hybrid, session, history=()):
    numbers = hybrid.vocabulary.numbers
    return Contexts.of(Ragged.of([numbers(session)]), Ragged.of([numbers(history)]))


def test_candidates_are_united_with_every_retriever_s_rank_and_score():
    one = CandidateList(np.array([[7, 3], [2, 0]]), np.array([[0.9, 0.1], [0.5, 0]], np.float32))
    two = CandidateList(np.array([[3], [9]]), np.array([[5.0], [4.0]], np.float32))
    both = Candidates.of([one, two])
    assert both.items[:, :3].tolist() == [[3, 7, 0], [2, 9, 0]]
    assert both.ranks[0, :2].tolist() == [[2, 1], [1, 0]]
    assert both.ranks[1, :2].tolist() == [[1, 0], [0, 1]]
    assert both.scores[0, 0].tolist() == pytest.approx([0.1, 5.0])
    assert math.isnan(both.scores[0, 1, 1])


def test_the_features_say_what_the_models_say(hybrid):
    contexts = contexts_of(hybrid, [song(4), song(5), song(8)], [song(2)])
    inputs = hybrid.generator.generate(contexts)
    items = inputs.items[0]
    real = items > 0
    assert len(set(items[real].tolist())) == int(real.sum())
    log_probabilities = dict(zip(items.tolist(), column(inputs, "gru")[0].tolist(), strict=True))
    # With all songs among the candidates they are exact log-probabilities: they sum to one.
    assert sum(
        math.exp(log_probabilities[number]) for number in range(1, 2 * PAIRS + 1)
    ) == pytest.approx(1, abs=1e-5)
    neighbours = hybrid.parts.blend.models[0].sparse_scores(contexts)
    shares = dict(zip(neighbours.items, neighbours.scores / neighbours.scores.sum(), strict=True))
    found = dict(zip(items.tolist(), column(inputs, "neighbours")[0].tolist(), strict=True))
    best = max(shares, key=lambda item: shares[item])
    assert found[best] == pytest.approx(math.log(shares[best] + 1e-4), abs=1e-4)


def test_plays_of_candidates_are_features(hybrid):
    session, history = [song(4), song(9), song(4)], [song(2), song(9)]
    inputs = hybrid.generator.generate(contexts_of(hybrid, session, history))
    items = inputs.items[0].tolist()

    def feature_of(song_id, name):
        [number] = hybrid.vocabulary.numbers([song_id])
        return column(inputs, name)[0, items.index(number)].item()

    assert feature_of(song(4), "session_ago") == pytest.approx(math.log1p(1))
    assert feature_of(song(4), "session_plays") == pytest.approx(math.log1p(2))
    assert feature_of(song(4), "is_last") == 1
    assert feature_of(song(9), "is_last") == 0
    assert feature_of(song(9), "session_ago") == pytest.approx(math.log1p(2))
    assert feature_of(song(9), "history_ago") == pytest.approx(math.log1p(1))
    assert feature_of(song(2), "in_session") == 0
    assert feature_of(song(2), "history_ago") == pytest.approx(math.log1p(2))
    told_context = dict(zip(CONTEXT_FEATURES, inputs.context_features[0].tolist(), strict=True))
    assert told_context["plays"] == pytest.approx(math.log1p(3))
    assert told_context["repeats"] == pytest.approx(1 / 3)
    assert told_context["last_was_repeat"] == 1
    assert told_context["has_history"] == 1


def test_shares_of_candidates_sum_to_one(hybrid):
    _, shares = hybrid.rank(contexts_of(hybrid, [song(4)]))
    assert shares.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_it_comes_back_from_a_bundle_bit_by_bit(hybrid, world, tmp_path):
    write_hybrid(tmp_path / "hybrid", hybrid, world[0])
    bundle, again = open_model(tmp_path / "hybrid")
    assert bundle.manifest.kind == "hybrid"
    contexts = contexts_of(hybrid, [song(4), song(5), song(8)], [song(2)])
    assert torch.equal(again.scores(contexts), hybrid.scores(contexts))


def test_a_bundle_whose_parts_do_not_fit_is_refused(hybrid, world, tmp_path):
    write_hybrid(tmp_path / "hybrid", hybrid, world[0])
    bundle = read_bundle(tmp_path / "hybrid", "hybrid")
    del bundle.weights["ranker.last.bias"]
    with pytest.raises(BundleError, match="does not fit its config"):
        HybridNextSong.from_bundle(bundle)


def test_neighbours_remember_the_last_plays_only():
    log = log_of([[1, 2, 3], [4, 5], [6]])
    assert [each.tolist() for each in remembered(log, 3).sessions] == [[4, 5], [6]]
    assert len(remembered(log, 100)) == 3
    assert [each.tolist() for each in log.joined(log).sessions][3:] == [[1, 2, 3], [4, 5], [6]]


def test_every_feature_belongs_to_one_ablation_and_every_retriever_is_one(hybrid):
    schema = hybrid.generator.schema
    columns = [place for name in schema.ablations for place in schema.columns_of(name)[0]]
    assert sorted(columns) == list(range(len(CANDIDATE_FEATURES)))
    assert set(UNNAMED_RETRIEVERS) <= set(schema.ablations)
    assert schema.names == CANDIDATE_FEATURES


def ranking_of(hybrid, session):
    inputs = hybrid.generator.generate(contexts_of(hybrid, session))
    return inputs, hybrid.parts.gru.vectors[inputs.items]


def test_the_three_losses_by_hand(hybrid):
    inputs, vectors = ranking_of(hybrid, [song(4)])
    ranker = Ranker(RankerConfig(width=8, dropout=0.0, combined=True), 16, 16, 8)
    answers = torch.tensor([3])
    wanted = vectors[0, 3].unsqueeze(0)
    found = ranker.losses(inputs, vectors, answers, wanted, torch.Generator())
    logits, preference = ranker(inputs, vectors)
    shares = logits.log_softmax(1)[0]
    assert found[0].item() == pytest.approx(-shares[3].item(), abs=1e-5)
    assert found[1].item() == pytest.approx(1 - (preference[0] @ wanted[0]).item(), abs=1e-5)
    assert found[2].item() >= 0
    # Weights begin as 1 and cost nothing; a larger s weighs its loss less and costs itself.
    assert ranker.combine(found).item() == pytest.approx(found.sum().item(), rel=1e-5)
    with torch.no_grad():
        ranker.balance[0] = 1.0
    expected = found[0] / math.e + 1 + found[1:].sum()
    assert ranker.combine(found).item() == pytest.approx(expected.item(), rel=1e-5)
    assert len(found) == len(LOSSES)


def test_what_is_no_candidate_has_no_share(hybrid):
    inputs, vectors = ranking_of(hybrid, [song(4)])
    logits, _ = hybrid.ranker(inputs, vectors)
    assert (logits[inputs.items == 0] == -torch.inf).all()
    assert (logits[inputs.items != 0] > -torch.inf).all()


@pytest.mark.parametrize(
    ("field", "value"), [("width", 0), ("dropout", 1.0), ("learning_rate", 0.0), ("batch", 0)]
)
def test_a_bad_config_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        RankerConfig(**{field: value})
