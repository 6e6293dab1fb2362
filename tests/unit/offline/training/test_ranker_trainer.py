"""The hybrid's training: the ranker learns what its features tell, from plays held back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.ranking.schema import CANDIDATE_FEATURES, FEATURE_GROUPS
from segue.models.registry import open_model
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.ranker_trainer import (
    Examples,
    ranker_metrics,
    train_ranker,
)
from segue.offline.training.trainer import TrainingError
from tests.support.cli import segue
from tests.support.toy import PAIRS, log_of, number_sessions, paired_sessions, partner, song
from tests.support.toy_hybrid import CONFIG
from tests.unit.models.hybrid.reference_hybrid import with_features


def examples_of(hybrid, sessions):
    songs = hybrid.vocabulary
    log = number_sessions(sessions, songs)
    return Examples.of(hybrid.generator, Predictions.of(log, len(songs)))


@pytest.fixture(scope="module")
def examples(hybrid):
    return examples_of(hybrid, paired_sessions(PAIRS, 60, seed=4))


@pytest.fixture(scope="module")
def judged(hybrid):
    return examples_of(hybrid, paired_sessions(PAIRS, 30, seed=5))


def test_every_prediction_is_counted_and_answers_are_found(hybrid, examples):
    assert len(examples) == 60 * 5
    assert examples.recall == 1.0
    [(inputs, columns), *_] = examples.batches
    found = inputs.items[torch.arange(len(columns)), columns]
    assert found[0].item() in range(1, 2 * PAIRS + 1)


def test_an_answer_nobody_put_forward_is_a_miss(hybrid):
    songs = hybrid.vocabulary
    log = log_of([[1, 2], [3, 10_000]])
    made = Examples.of(hybrid.generator, Predictions.of(log, len(songs)))
    [(_, columns)] = made.batches
    assert (columns >= 0).tolist() == [True, False]
    assert made.recall == 0.5
    figures = ranker_metrics(made, lambda inputs: torch.zeros(inputs.items.shape))
    assert figures["hit_rate_at_20"] == 0.0  # all tie, and ties count against


def test_training_makes_it_no_worse_and_repeats_itself(hybrid, examples, judged):
    vectors, hidden = hybrid.parts.gru.vectors, CONFIG.gru.hidden
    first, again = (
        train_ranker(examples, judged, vectors, hidden, CONFIG.ranker, seed=1, epochs=3)
        for _ in range(2)
    )
    start = first.history[0].validation
    best = first.best.validation
    assert best["mrr_at_20"] + best["hit_rate_at_20"] >= (
        start["mrr_at_20"] + start["hit_rate_at_20"]
    )
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name


def test_it_learns_to_trust_the_feature_that_knows(hybrid, examples, judged):
    # The one feature left is 1 for the right candidate and 0 for all others.
    def reported(made):
        column = CANDIDATE_FEATURES.index("trend")
        batches = []
        for inputs, columns in made.batches:
            features = torch.zeros_like(inputs.candidate_features)
            rows = (columns >= 0).nonzero()[:, 0]
            features[rows, columns[rows], column] = 1.0
            batches.append((with_features(inputs, features), columns))
        return replace(made, batches=batches)

    train, judge = reported(examples.without("likeness")), reported(judged.without("likeness"))
    vectors = hybrid.parts.gru.vectors
    hidden, config = CONFIG.gru.hidden, replace(CONFIG.ranker, batch=16, learning_rate=0.01)
    learned = train_ranker(train, judge, vectors, hidden, config, epochs=20, patience=20)
    assert learned.best.validation["map_at_1"] > 0.95
    assert learned.history[0].validation["map_at_1"] < 0.95


def test_stages_leave_the_other_layers_alone(hybrid, examples, judged):
    stages = []
    trained = train_ranker(
        examples,
        judged,
        hybrid.parts.gru.vectors,
        CONFIG.gru.hidden,
        CONFIG.ranker,
        epochs=1,
        staged=True,
        on_epoch=lambda stage, _: stages.append(stage),
    )
    assert stages == ["start", "listener", "context", "candidate"]
    assert len(trained.history) == 4


@pytest.mark.parametrize("ablation", [*FEATURE_GROUPS, "blend"])
def test_a_group_taken_away_is_gone(examples, ablation):
    less = examples.without(ablation)
    for inputs, _ in less.batches:
        columns, context_columns = inputs.schema.columns_of(ablation)
        assert columns
        assert not inputs.candidate_features[:, :, columns].any()
        assert not inputs.context_features[:, context_columns].any()
    assert less.recall <= examples.recall


def test_without_any_answer_training_is_refused(hybrid):
    log = log_of([[3, 10_000]])
    nothing = Examples.of(hybrid.generator, Predictions.of(log, len(hybrid.vocabulary)))
    vectors = hybrid.parts.gru.vectors
    with pytest.raises(TrainingError, match="give a longer log"):
        train_ranker(nothing, nothing, vectors, CONFIG.gru.hidden, CONFIG.ranker)


def test_one_command_trains_all_of_it(tmp_path):
    plays = tmp_path / "sessions.txt"
    plays.write_text("\n".join(map(" ".join, paired_sessions(PAIRS, 300, seed=1))) + "\n")
    out, reported = tmp_path / "hybrid", tmp_path / "reported.json"
    run = segue(
        *("train", "hybrid", "--plays", str(plays), "--format", "sessions"),
        *("--out", str(out), "--dim", "16", "--gru-epochs", "3", "--amnn-epochs", "1"),
        *("--boosted", "--staged", "--json", str(reported)),
    )
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert {"gru", "amnn", "neighbours", "rules", "tree", "product", "ranker"} <= set(
        figures["validation"]
    )
    assert {"boosted trees", "ranker, staged", "staged: listener"} <= set(figures["validation"])
    bundle, model = open_model(out)
    assert bundle.manifest.training["plays"] == 1800
    assert bundle.manifest.config["content"] is None  # nobody said what these songs are
    number = model.vocabulary.number
    scores = model.scores(Contexts.of(Ragged.of([[number(song(4))]])))[0].clone()
    scores[number(song(4))] = -torch.inf
    assert model.vocabulary.song(int(scores.argmax())) == partner(song(4))
