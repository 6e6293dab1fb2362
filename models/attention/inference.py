"""AMNN as it serves: the same scores as `CandidateAttention`, of the songs really looked at.

What a recent song says for itself, u . tanh(w x + b), is worked out once for the whole
catalogue, and places without a song cost nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from segue.models.attention.network import CATALOGUE_CHUNK, CandidateAttention
from segue.models.data.vocabulary import PADDING
from segue.models.ops.dot_products import ByteVectors, multiply_bytes
from segue.models.ops.fast_math import log32, to_powers
from segue.models.ops.jit import compiled, compiled_sums, inlined_sums


class AttentionTables(NamedTuple):
    """The weights of models/attention/network.py, as compiled code takes them, float32.

    heard: [V + 1, D], x. asked: [V + 1, D], y, in bytes. often, song: [V + 1], v, and
    u . tanh(w x + b) of every song. place, sharpness, again: [K], p, g and r.
    """

    heard: NDArray[np.float32]
    asked: ByteVectors
    often: NDArray[np.float32]
    song: NDArray[np.float32]
    place: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    again: NDArray[np.float32]

    @classmethod
    @torch.no_grad()
    def of(cls, model: CandidateAttention) -> AttentionTables:
        """Accept them from a trained network."""
        song = [
            (torch.tanh(model.preference(rows)) * model.context.weight[0]).sum(1)
            for rows in torch.split(model.heard.weight, CATALOGUE_CHUNK)
        ]
        weights = (model.often.weight[:, 0], torch.cat(song))
        places = (model.place, model.sharpness, model.again)
        rest = (each.detach().contiguous().numpy() for each in (*weights, *places))
        heard, asked = model.heard.weight.detach(), model.asked.weight.detach()
        return cls(heard.contiguous().numpy(), ByteVectors.of(asked.numpy()), *rest)

    def reasons(
        self, places: NDArray[np.int64], items: NDArray[np.int64], limit: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the songs that spoke most for each item, int64 [B, n, limit], heaviest first.

        places: int64 [B, K]; items: int64 [B, n]. And their shares of its score, float32
        [B, n, limit]: 0 and 0.0 where there are fewer. A song that was played more than once
        speaks once, with all its weight.
        """
        return _reasons(self, places, items, limit)


class _Speakers(NamedTuple):
    """Room for the songs looked at of one listener. Of each of them, the latest first:

    songs: its item number, int64 [K]. keys: g_k x_k, float32 [K, D]. prior: what of its logit no
    candidate changes, float32 [K]. again: what is added where it is the candidate, float32 [K].
    """

    songs: NDArray[np.int64]
    keys: NDArray[np.float32]
    prior: NDArray[np.float32]
    again: NDArray[np.float32]


@compiled
def _room(places: int, columns: int) -> _Speakers:
    return _Speakers(
        np.empty(places, np.int64),
        np.empty((places, columns), np.float32),
        np.empty(places, np.float32),
        np.empty(places, np.float32),
    )


@compiled
def _fill(speakers: _Speakers, tables: AttentionTables, places: NDArray[np.int64]) -> int:
    """Accept those of one listener's places, int64 [K], that hold a song, and count them."""
    count = 0
    for place in range(len(places)):
        song = places[place]
        if song == PADDING:
            continue
        speakers.songs[count] = song
        speakers.prior[count] = tables.place[place] + tables.song[song]
        speakers.again[count] = tables.again[place]
        for column in range(tables.heard.shape[1]):
            key = tables.sharpness[place] * tables.heard[song, column]
            speakers.keys[count, column] = key
        count += 1
    return count


@compiled_sums
def share_out(
    tables: AttentionTables,
    places: NDArray[np.int64],
    items: NDArray[np.int64],
    shares: NDArray[np.float32],
) -> None:
    """Write each candidate's share among those of one listener, a logarithm.

    places: int64 [K], the latest play first, 0 for none. items: int64 [C]. shares: float32 [C],
    all -inf; they stay so where an item is 0.
    """
    speakers = _room(len(places), tables.heard.shape[1])
    count = _fill(speakers, tables, places)
    # The exponentials of all candidates are worked out in one go, and so in whole lanes.
    powers = np.zeros((len(items), count), np.float32)
    multiply_bytes(tables.asked, items, speakers.keys[:count], powers)
    scores = np.full(len(items), -np.inf, np.float32)
    highest = np.float32(-np.inf)
    for slot in range(len(items)):
        item = items[slot]
        if item != PADDING:
            scores[slot] = tables.often[item]
            if count:
                greatest = _complete(powers, slot, speakers, count, item)
                for number in range(count):
                    powers[slot, number] -= greatest
                scores[slot] += greatest
    to_powers(powers.ravel())
    for slot in range(len(items)):
        if count and items[slot] != PADDING:
            scores[slot] += log32(powers[slot].sum())
        highest = max(highest, scores[slot])
    shares[:] = scores - highest
    to_powers(shares)
    total = np.float32(0)
    for slot in range(len(items)):
        if items[slot] != PADDING:
            total += shares[slot]
    away = highest + np.log(total)
    for slot in range(len(items)):
        shares[slot] = scores[slot] - away


@inlined_sums
def _complete(
    logits: NDArray[np.float32], slot: int, speakers: _Speakers, count: int, item: int
) -> np.float32:
    """Make l_k(item) of the first `count` speakers' products with y, and give the greatest.

    logits: float32 [C, K], of which those of `slot` are the item's.
    """
    greatest = np.float32(-np.inf)
    for number in range(count):
        logit = logits[slot, number] + speakers.prior[number]
        if speakers.songs[number] == item:
            logit += speakers.again[number]
        logits[slot, number] = logit
        greatest = max(greatest, logit)
    return greatest


@compiled_sums
def _reasons(
    tables: AttentionTables, places: NDArray[np.int64], items: NDArray[np.int64], limit: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows, wide = items.shape
    songs = np.zeros((rows, wide, limit), np.int64)
    shares = np.zeros((rows, wide, limit), np.float32)
    speakers = _room(places.shape[1], tables.heard.shape[1])
    for row in range(rows):
        count = _fill(speakers, tables, places[row])
        products = np.zeros((wide, count), np.float32)
        multiply_bytes(tables.asked, items[row], speakers.keys[:count], products)
        for slot in range(wide):
            item = items[row, slot]
            if item == PADDING or count == 0:
                continue
            greatest = _complete(products, slot, speakers, count, item)
            logits = products[slot]
            total = np.float32(0)
            for number in range(count):
                logits[number] = np.exp(logits[number] - greatest)
                total += logits[number]
            for number in range(count):
                _add_to_first(logits, speakers.songs, number)
            for reason in range(min(limit, count)):
                heaviest = logits.argmax()
                if logits[heaviest] == 0:
                    break
                songs[row, slot, reason] = speakers.songs[heaviest]
                shares[row, slot, reason] = logits[heaviest] / total
                logits[heaviest] = 0
    return songs, shares


@compiled
def _add_to_first(weights: NDArray[np.float32], songs: NDArray[np.int64], number: int) -> None:
    """Move a song's weight to its latest play, if this one is not that."""
    for earlier in range(number):
        if songs[earlier] == songs[number]:
            weights[earlier] += weights[number]
            weights[number] = 0
            break
