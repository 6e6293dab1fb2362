"""Predictions held back from training, and how models rank what came next in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.gru import GRU
from models.sessions import SessionBatch, pad_sessions
from models.vocabulary import PADDING, Vocabulary
from offline.ranking import ranks_of

# Rows of scores over the whole catalogue that are in memory together.
ROWS = 256


@dataclass(frozen=True)
class Predictions:
    """Beginnings of sessions, and the item number of the song after each, 0 if unknown.

    sessions: P of them; answers: int64 [P].
    """

    sessions: SessionBatch
    answers: Tensor

    def __len__(self) -> int:
        """Count them."""
        return len(self.answers)


def sample_predictions(
    sessions: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    max_length: int,
    limit: int,
    generator: torch.Generator,
) -> Predictions:
    """Draw up to `limit` places in `sessions` at which to predict the next song.

    A song that is not in the vocabulary is passed over where it was heard, and can only be
    missed where it comes next. Places before which no known song was heard are left out: there
    a sequence model has nothing to go by.
    """
    lengths = torch.tensor([len(session) for session in sessions], dtype=torch.int64)
    ends = (lengths - 1).clamp_(min=0).cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    places = torch.randperm(total, generator=generator)[:limit].sort().values
    rows = torch.searchsorted(ends, places, right=True)
    heard, answers = [], []
    for row, end, place in zip(rows.tolist(), ends[rows].tolist(), places.tolist(), strict=True):
        session = sessions[row]
        position = len(session) - (end - place)
        known = vocabulary.numbers(session[:position])
        if known:
            heard.append(known)
            answers.append(vocabulary.number(session[position]) or PADDING)
    return Predictions(pad_sessions(heard, max_length), torch.tensor(answers, dtype=torch.int64))


def gru_ranks(model: GRU, predictions: Predictions) -> Tensor:
    """Rank every answer among all songs by the model, int64 [P]."""
    vectors = model.item_vectors().T
    items, lengths = predictions.sessions.items, predictions.sessions.lengths

    def scores(rows: slice) -> Tensor:
        longest = int(lengths[rows].max())
        return model.encode(items[rows, :longest], lengths[rows]) @ vectors

    return _ranks(scores, predictions)


def popularity_ranks(popularity: Tensor, predictions: Predictions) -> Tensor:
    """Rank every answer among all songs by play counts alone, int64 [P]."""
    return _ranks(lambda rows: popularity.expand(len(predictions.answers[rows]), -1), predictions)


@torch.inference_mode()
def _ranks(scores: Callable[[slice], Tensor], predictions: Predictions) -> Tensor:
    chunks = [slice(start, start + ROWS) for start in range(0, len(predictions), ROWS)]
    return torch.cat([ranks_of(scores(rows), predictions.answers[rows]) for rows in chunks])
