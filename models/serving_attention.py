"""AMNN as it serves: the same scores as `CandidateAttention`, of the songs really looked at.

What a recent song says for itself, u . tanh(w x + b), is worked out once for the whole
catalogue, and places without a song cost nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.candidate_attention import CATALOGUE_CHUNK, CandidateAttention
from models.compiled import compiled, compiled_sums
from models.vocabulary import PADDING


class AttentionTables(NamedTuple):
    """The weights of models/candidate_attention.py, as compiled code takes them, float32.

    heard, asked: [V + 1, D], x and y. often, song: [V + 1], v, and u . tanh(w x + b) of every
    song. place, sharpness, again: [K], p, g and r.
    """

    heard: NDArray[np.float32]
    asked: NDArray[np.float32]
    often: NDArray[np.float32]
    song: NDArray[np.float32]
    place: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    again: NDArray[np.float32]

    @classmethod
    @torch.no_grad()
    def of(cls, model: CandidateAttention) -> AttentionTables:
        """Take them from a trained network."""
        song = [
            (torch.tanh(model.preference(rows)) * model.context.weight[0]).sum(1)
            for rows in torch.split(model.heard.weight, CATALOGUE_CHUNK)
        ]
        tables = (
            model.heard.weight,
            model.asked.weight,
            model.often.weight[:, 0],
            torch.cat(song),
            model.place,
            model.sharpness,
            model.again,
        )
        return cls(*(each.detach().contiguous().numpy() for each in tables))

    def log_shares(
        self, places: NDArray[np.int64], items: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Give each candidate's share among those of its row, a logarithm, float32 [B, C].

        places: int64 [B, K], the latest play first, 0 for none. items: int64 [B, C]; -inf
        where one is 0.
        """
        return _log_shares(self, places, items)

    def reasons(
        self, places: NDArray[np.int64], items: NDArray[np.int64], most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give the songs that spoke most for each item, int64 [B, n, most], heaviest first.

        places: int64 [B, K]; items: int64 [B, n]. And their shares of its score, float32
        [B, n, most]: 0 and 0.0 where there are fewer. A song that was played more than once
        speaks once, with all its weight.
        """
        return _reasons(self, places, items, most)


@compiled_sums
def _heard_at(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the places with a song, of one row, int64 [K]."""
    real: NDArray[np.int64] = (places != PADDING).nonzero()[0]
    return real


@compiled_sums
def _fill_logits(
    tables: AttentionTables,
    places: NDArray[np.int64],
    real: NDArray[np.int64],
    item: int,
    logits: NDArray[np.float32],
) -> np.float32:
    """Write l_k(item) of the `real` places of one row to `logits`, and give the greatest."""
    greatest = np.float32(-np.inf)
    for number in range(len(real)):
        place = real[number]
        song = places[place]
        product = np.float32(0)
        for column in range(tables.heard.shape[1]):
            product += tables.heard[song, column] * tables.asked[item, column]
        logit = tables.place[place] + tables.song[song] + tables.sharpness[place] * product
        if song == item:
            logit += tables.again[place]
        logits[number] = logit
        greatest = max(greatest, logit)
    return greatest


@compiled_sums
def _log_shares(
    tables: AttentionTables, places: NDArray[np.int64], items: NDArray[np.int64]
) -> NDArray[np.float32]:
    rows, wide = items.shape
    shares = np.full((rows, wide), -np.inf, np.float32)
    logits = np.empty(places.shape[1], np.float32)
    for row in range(rows):
        real = _heard_at(places[row])
        highest = np.float32(-np.inf)
        for slot in range(wide):
            item = items[row, slot]
            if item == PADDING:
                continue
            score = tables.often[item]
            if len(real):
                greatest = _fill_logits(tables, places[row], real, item, logits)
                total = np.float32(0)
                for number in range(len(real)):
                    total += np.exp(logits[number] - greatest)
                score += greatest + np.log(total)
            shares[row, slot] = score
            highest = max(highest, score)
        total = np.float32(0)
        for slot in range(wide):
            if items[row, slot] != PADDING:
                total += np.exp(shares[row, slot] - highest)
        away = highest + np.log(total)
        for slot in range(wide):
            if items[row, slot] != PADDING:
                shares[row, slot] -= away
    return shares


@compiled_sums
def _reasons(
    tables: AttentionTables, places: NDArray[np.int64], items: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows, wide = items.shape
    songs = np.zeros((rows, wide, most), np.int64)
    shares = np.zeros((rows, wide, most), np.float32)
    logits = np.empty(places.shape[1], np.float32)
    for row in range(rows):
        real = _heard_at(places[row])
        for slot in range(wide):
            if items[row, slot] == PADDING or len(real) == 0:
                continue
            greatest = _fill_logits(tables, places[row], real, items[row, slot], logits)
            total = np.float32(0)
            for number in range(len(real)):
                logits[number] = np.exp(logits[number] - greatest)
                total += logits[number]
            for number in range(len(real)):
                _add_to_first(logits, places[row], real, number)
            for reason in range(min(most, len(real))):
                heaviest = logits[: len(real)].argmax()
                if logits[heaviest] == 0:
                    break
                songs[row, slot, reason] = places[row, real[heaviest]]
                shares[row, slot, reason] = logits[heaviest] / total
                logits[heaviest] = 0
    return songs, shares


@compiled
def _add_to_first(
    weights: NDArray[np.float32], places: NDArray[np.int64], real: NDArray[np.int64], number: int
) -> None:
    """Move a place's weight to the latest play of the same song, if it is not that one."""
    for earlier in range(number):
        if places[real[earlier]] == places[real[number]]:
            weights[earlier] += weights[number]
            weights[number] = 0
            break
