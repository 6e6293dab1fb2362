"""The ranker's training: on candidates for plays that the retrievers have not learned from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import PADDING
from segue.models.hybrid.candidate_generation import CandidateGenerator
from segue.models.metrics import UNRANKED, ranks_among
from segue.models.ranking.inputs import RankingInputs
from segue.models.ranking.ranker import LOSSES, Ranker, RankerConfig
from segue.offline.datasets.play_stream import PlayStream
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.ranking import hit_rate, mrr
from segue.offline.training.trainer import (
    EpochMetrics,
    Learner,
    Metrics,
    Trained,
    TrainingError,
    train,
)

ROWS = 256
MIN_DEVIATION = 1e-3
STAGES = {
    "listener": ("listener_layer", "preference"),
    "context": ("context_layer",),
    "candidate": ("candidate_layer", "joined", "last", "weights"),
}
"""The layers that staged training freezes one after the other."""
SILENT_EVERY = 16
"""One example of so many has no times and skips, as some requests have none."""
SILENT = 0.25
"""The share of examples without recent plays of others: some requests have none."""


@dataclass(frozen=True)
class Examples:
    """Predictions with their candidates.

    batches: inputs and, for each row, the column of the song that came next, int64 [B], -1
    where no retriever found it. missed: predictions whose contexts have no known song.
    """

    batches: Sequence[tuple[RankingInputs, Tensor]]
    missed: int

    def __len__(self) -> int:
        """Count the predictions, those without an answer among the candidates included."""
        return sum(len(columns) for _, columns in self.batches) + self.missed

    @property
    def recall(self) -> float:
        """The share of predictions whose answer is among the candidates."""
        found = sum(int((columns >= 0).sum()) for _, columns in self.batches)
        return found / max(len(self), 1)

    @classmethod
    def of(
        cls,
        generator: CandidateGenerator,
        predictions: Predictions,
        stream: PlayStream | None = None,
        silent: float = 0.0,
        seed: int = 0,
        on_rows: Callable[[int], None] = lambda done: None,
    ) -> Examples:
        """Retrieve for each prediction, which is in the retrievers' own item numbers.

        stream: the plays that predictions were made among; then new songs are answers, too.
        silent: the share of predictions that are made without it, drawn by `seed`.
        """
        judged = predictions.take(predictions.contexts.known())
        if stream is not None:
            asked = stream.numbers_before(judged.sessions, judged.positions)
            judged = judged.take(np.argsort(asked, kind="stable"))
        chance = np.random.default_rng(seed)
        batches = []
        for start in range(0, len(judged), ROWS):
            rows = judged.take(np.arange(start, min(start + ROWS, len(judged))))
            contexts = rows.contexts
            if stream is not None:
                contexts = _among(stream, rows, chance.random(len(rows)) < silent)
            inputs = generator.generate(contexts)
            answers = torch.from_numpy(_answers(inputs, rows, stream)).unsqueeze(1)
            found = (inputs.items == answers) & (answers != PADDING)
            columns = torch.where(found.any(1), found.float().argmax(1), -1)
            batches.append((inputs, columns))
            on_rows(len(columns))
        return cls(batches, len(predictions) - len(judged))

    def without(self, ablation: str) -> Examples:
        """Return them without a group of features, and without a retriever's own songs."""
        batches = []
        for inputs, answers in self.batches:
            less = inputs.without(ablation)
            there = less.items.gather(1, answers.clamp_min(0).unsqueeze(1))[:, 0] != PADDING
            batches.append((less, torch.where(there, answers, -1)))
        return Examples(batches, self.missed)


def without_some_details(predictions: Predictions) -> Predictions:
    """Accept times and skips away from every SILENT_EVERY-th context."""
    contexts = predictions.contexts
    silent = np.arange(len(predictions)) % SILENT_EVERY == 0
    return replace(predictions, contexts=contexts.without_details(silent))


def _among(stream: PlayStream, rows: Predictions, silent: NDArray[np.bool_]) -> Contexts:
    """Return the contexts of predictions with what was played of late, but for the silent ones."""
    snapshots = stream.snapshots(stream.numbers_before(rows.sessions, rows.positions))
    values = [None if mute else snapshot for mute, snapshot in zip(silent, snapshots, strict=True)]
    return replace(rows.contexts, snapshots=values)


def _answers(
    inputs: RankingInputs, rows: Predictions, stream: PlayStream | None
) -> NDArray[np.int64]:
    """Return the answers' item numbers, int64 [B]; new songs in their listener's numbers."""
    answers = rows.answers.copy()
    if stream is None:
        return answers
    for row in np.flatnonzero(answers == PADDING).tolist():
        song_id = stream.song_at(int(rows.sessions[row]), int(rows.positions[row]))
        if song_id in inputs.new_songs[row]:
            answers[row] = inputs.songs + 1 + inputs.new_songs[row].index(song_id)
    return answers


@torch.no_grad()
def ranker_metrics(
    examples: Examples, score: Callable[[RankingInputs], Tensor]
) -> dict[str, float]:
    """Rank every prediction's answer by `score`, float32 [B, C], and compute the metrics.

    An answer that is not among the candidates is a miss. MAP@1, recall@5 and MRR@20 are what
    hybrid ranking is validated by.
    """
    ranks = [np.full(examples.missed, UNRANKED)]
    for inputs, columns in examples.batches:
        scores = score(inputs).masked_fill(inputs.items == PADDING, -torch.inf)
        own = scores.gather(1, columns.clamp_min(0).unsqueeze(1))[:, 0]
        found = ranks_among(scores.numpy(), own.numpy())
        ranks.append(np.where(columns.numpy() < 0, UNRANKED, found))
    every = np.concatenate(ranks)
    return {
        "map_at_1": mrr(every, 1),
        "recall_at_5": hit_rate(every, 5),
        "hit_rate_at_20": hit_rate(every, 20),
        "mrr_at_20": mrr(every, 20),
    }


def train_ranker(
    examples: Examples,
    validation: Examples,
    vectors: Tensor,
    hidden: int,
    config: RankerConfig,
    *,
    seed: int = 0,
    epochs: int = 8,
    patience: int = 2,
    staged: bool = False,
    on_epoch: Callable[[str, Metrics], None] = lambda stage, metrics: None,
    begin_with: Ranker | None = None,
) -> Trained[Ranker]:
    """Train until the hit rate plus the MRR at 20 on `validation` is no better.

    vectors: songs' vectors, float32 [V + 1, D]. staged: one layer after the other, each frozen
    when the next begins; else all together. begin_with: a ranker to fine-tune, whose features
    keep their scale. TrainingError where no answer is among the candidates. The history begins
    with the ranker as it was before any epoch, number 0.
    """
    if not any((columns >= 0).any() for _, columns in examples.batches):
        raise TrainingError(
            "of no play in the ranker's split did a retriever know the song: give a longer log"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for the layers' own first weights
        first = examples.batches[0][0]
        skipgram = first.listeners.skipgram.shape[1]
        ranker = Ranker(config, vectors.shape[1], hidden, skipgram, features=first.schema.names)
    if begin_with is None:
        _standardise(ranker, examples)
    else:
        ranker.load_state_dict(begin_with.state_dict())

    def validate(network: Ranker) -> Metrics:
        return ranker_metrics(validation, lambda x: network(x, vectors[x.known_items])[0])

    generator = torch.Generator().manual_seed(seed)
    start = EpochMetrics(0, math.nan, 1.0, validate(ranker))
    on_epoch("start", start.validation)
    best, history = start, [start]
    for stage, names in (STAGES if staged else {"all": ()}).items():
        learned = [
            parameter
            for name, parameter in ranker.named_parameters()
            if not names or name.partition(".")[0] in (*names, "balance")
        ]
        trained = train(
            RankerLearner(ranker, learned, examples, vectors, generator),
            epochs=epochs,
            patience=patience,
            validate=validate,
            merit=lambda metrics: metrics["hit_rate_at_20"] + metrics["mrr_at_20"],
            before=replace(best, number=0),
            on_epoch=lambda epoch, stage=stage: on_epoch(stage, epoch.validation),  # type: ignore[misc]
        )
        ranker.load_state_dict(trained.network.state_dict())
        best, history = trained.best, [*history, *trained.history]
    return replace(trained, history=history, best=best)


class RankerLearner(Learner[Ranker]):
    """The ranker in training, on candidates that retrievers found for plays unknown to them."""

    def __init__(
        self,
        network: Ranker,
        learned: Sequence[torch.nn.Parameter],
        examples: Examples,
        vectors: Tensor,
        generator: torch.Generator,
    ) -> None:
        """learned: the parameters that change."""
        config = network.config
        self.network = network
        self.optimisers = (torch.optim.AdamW(learned, lr=config.learning_rate, weight_decay=1e-3),)
        self.examples = sum(int((columns >= 0).sum()) for _, columns in examples.batches)
        self._batches = examples.batches
        self._vectors = vectors
        self._generator = generator

    def batches(self) -> Iterator[tuple[tuple[RankingInputs, Tensor], int]]:
        """Yield the rows that have an answer among their candidates, shuffled."""
        size = self.network.config.batch
        for number in torch.randperm(len(self._batches), generator=self._generator).tolist():
            inputs, columns = self._batches[number]
            order = torch.randperm(len(columns), generator=self._generator)
            order = order[columns[order] >= 0]
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                yield (inputs.take(rows), columns[rows]), len(rows)

    def loss(self, batch: tuple[RankingInputs, Tensor]) -> Tensor:
        """Combine the losses of the hybrid."""
        inputs, columns = batch
        answers = inputs.known_items.gather(1, columns.unsqueeze(1))[:, 0]
        candidates = self._vectors[inputs.known_items]
        losses = self.network.losses(
            inputs, candidates, columns, self._vectors[answers], self._generator
        )
        assert len(losses) == len(LOSSES)
        return self.network.combine(losses)


def _standardise(ranker: Ranker, examples: Examples) -> None:
    """Set the scale of features to a mean of 0 and a deviation of 1."""
    candidates = torch.cat(
        [x.candidate_features[x.items != PADDING][::7] for x, _ in examples.batches]
    )
    contexts = torch.cat([x.context_features for x, _ in examples.batches])
    for name, values in (("candidate", candidates), ("context", contexts)):
        getattr(ranker, f"{name}_mean").copy_(values.mean(0))
        deviation = values.std(0, correction=0)
        # A feature that is constant here is not trained, so a later change must not weigh much.
        scale = torch.where(deviation > MIN_DEVIATION, deviation, 1.0)
        getattr(ranker, f"{name}_scale").copy_(scale)
