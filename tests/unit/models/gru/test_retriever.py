"""What the GRU makes of a listener does not depend on who else is in the batch, to the last bit."""

from __future__ import annotations

import numpy as np
import torch

from segue.models.data.batching import pad_listeners
from segue.models.data.ragged import Ragged
from segue.models.gru.network import GRU, GRUConfig
from segue.models.gru.retriever import GRURetriever

SONGS, LISTENERS = 300, 640


def retrieved(retriever: GRURetriever, plays: Ragged, lengths: np.ndarray) -> torch.Tensor:
    """Return the constants that make log-probabilities, float32 [B, 2]: rounding shows in them."""
    batch = pad_listeners(plays, lengths, 20, 20)
    found = retriever.search(batch, 30)
    return torch.stack([found.log_new, found.gate], 1)[: len(plays)]


def test_rows_are_rounded_alike_in_batches_of_any_size():
    chance = np.random.default_rng(0)
    model = GRU(GRUConfig(dim=16, hidden=16), SONGS)
    model.initialise(torch.Generator().manual_seed(0))
    retriever = GRURetriever(model, torch.ones(SONGS + 1))
    lengths = chance.integers(1, 15, LISTENERS)
    plays = Ragged.from_lengths(chance.integers(1, SONGS + 1, lengths.sum()), lengths)
    whole = retrieved(retriever, plays, lengths)
    for size in (1, 24, 40):
        parts = [
            retrieved(retriever, plays.slice(start, start + size), lengths[start : start + size])
            for start in range(0, LISTENERS, size)
        ]
        assert torch.equal(torch.cat(parts), whole), size
