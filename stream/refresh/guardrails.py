"""Checks that a refreshed bundle must pass before it is promoted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segue.models.base import NextSongModel
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.refresh.bundle_refresh import Refreshed
from segue.models.refresh.embedding_refresh import Drift
from segue.stream.refresh.sessions import Session

CUTOFF = 20
ROWS = 64


@dataclass(frozen=True)
class GuardRails:
    """Bounds. most_lost: by which the hit rate @20 may fall, on the newest sessions held back.

    A fall that chance explains is none: two standard errors of the difference on the same
    predictions. most_predictions: of those sessions, the last ones. least_predictions: fewer
    tell nothing, and then the hit rate is not looked at. least_cosine: of the anchors with
    themselves before, on average. most_growth: of their length, by which factor either way.
    """

    most_lost: float = 0.02
    most_predictions: int = 1_000
    least_predictions: int = 30
    least_cosine: float = 0.8
    most_growth: float = 1.5


@dataclass(frozen=True)
class Verdict:
    """Hit rates @20 of the bundle before and of the refreshed one, and what is wrong with it."""

    predictions: int
    before: float | None
    after: float | None
    problems: tuple[str, ...]


def check_refreshed(
    rails: GuardRails,
    before: NextSongModel,
    after: NextSongModel,
    refreshed: Refreshed,
    held_back: Sequence[Session],
) -> Verdict:
    """Check a refreshed bundle by itself, and against the one before on the newest sessions."""
    problems = [*_not_finite(refreshed), *_drifted(rails, refreshed.drift)]
    asked = _predictions(held_back)[-rails.most_predictions :]
    if problems or len(asked) < rails.least_predictions:
        return Verdict(len(asked), None, None, tuple(problems))
    old, new = hits(before, asked), hits(after, asked)
    lost, differing = old.mean() - new.mean(), int((old != new).sum())
    if lost > max(rails.most_lost, 2 * math.sqrt(differing) / len(asked)):
        problems.append(
            f"hit rate @{CUTOFF} fell from {old.mean():.2%} to {new.mean():.2%} on {len(asked)} "
            f"predictions, by more than {rails.most_lost:.2%} and than chance explains"
        )
    return Verdict(len(asked), float(old.mean()), float(new.mean()), tuple(problems))


Prediction = tuple[list[str], str]  # the session so far, and the song that came next


def _predictions(sessions: Sequence[Session]) -> list[Prediction]:
    return [
        (one.songs[:place], one.songs[place])
        for one in sessions
        for place in range(1, len(one.songs))
    ]


@torch.inference_mode()
def hits(model: NextSongModel, asked: Sequence[Prediction]) -> NDArray[np.bool_]:
    """Return which next songs are among a model's first 20, bool [P]; ties count against it.

    A song that the model does not know is a miss, and so is any where it knows nothing of the
    session.
    """
    found = []
    for start in range(0, len(asked), ROWS):
        rows = asked[start : start + ROWS]
        contexts = Contexts.of(Ragged.of([model.vocabulary.numbers(heard) for heard, _ in rows]))
        answers = torch.tensor([model.vocabulary.number(song) or 0 for _, song in rows])
        scores = model.scores(contexts)
        own = scores.gather(1, answers.unsqueeze(1))
        ranks = (scores[:, 1:] >= own).sum(1)
        found.append((answers > 0) & (own[:, 0] > -torch.inf) & (ranks <= CUTOFF))
    return torch.cat(found).numpy()


def _not_finite(refreshed: Refreshed) -> Iterator[str]:
    for name, tensor in sorted(refreshed.weights.items()):
        if tensor.is_floating_point() and not np.isfinite(tensor.numpy()).all():
            yield f"tensor {name!r} holds numbers that are not finite"


def _drifted(rails: GuardRails, drift: Drift | None) -> Iterator[str]:
    if drift is None:
        return
    if not drift.cosine >= rails.least_cosine:
        yield (
            f"song vectors moved to a mean cosine of {drift.cosine:.3f} with themselves before, "
            f"below {rails.least_cosine:g}"
        )
    if not 1 / rails.most_growth <= drift.length <= rails.most_growth:
        yield (
            f"song vectors are {drift.length:.2f} times as long as before, beyond a factor of "
            f"{rails.most_growth:g}"
        )
