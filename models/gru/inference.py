"""The GRU and its repeat head as they serve: compiled, for the last play of each session alone.

Only real plays are read, in place; padding costs nothing. A row depends on no other row.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.batching import ListenerBatch
from segue.models.data.vocabulary import PADDING
from segue.models.gru.network import GRU
from segue.models.gru.repeat_head import FEATURES, PLACES, RepeatHead
from segue.models.ops.fast_math import to_powers
from segue.models.ops.jit import compiled, compiled_sums


class GRUTables(NamedTuple):
    """The weights of a GRU as compiled code takes them, float32.

    songs: [V + 1, D]. inputs: [3 H, D], recurrent: [3 H, H], their biases [3 H]: of the reset
    gate, the update gate and the candidate state, one behind the other.
    """

    songs: NDArray[np.float32]
    inputs: NDArray[np.float32]
    recurrent: NDArray[np.float32]
    input_bias: NDArray[np.float32]
    recurrent_bias: NDArray[np.float32]

    @classmethod
    @torch.no_grad()
    def of(cls, model: GRU) -> GRUTables:
        """Accept them from a trained network."""
        cell = model.recurrence.state_dict()
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        tensors = (model.songs.weight, *(cell[f"{kind}_l0"] for kind in kinds))
        return cls(*(each.detach().contiguous().numpy() for each in tensors))

    def states(self, items: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the state after each session's last play, float32 [B, H].

        items: int64 [B, T], right-padded with 0. lengths: int64 [B], >= 1.
        """
        return _states(self, items, lengths)


@compiled_sums
def _states(
    tables: GRUTables, items: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.float32]:
    hidden = tables.recurrent.shape[1]
    states = np.zeros((len(lengths), hidden), np.float32)
    inputs, kept = np.empty(3 * hidden, np.float32), np.empty(3 * hidden, np.float32)
    for row in range(len(lengths)):
        state = states[row]
        for place in range(lengths[row]):
            _multiply(tables.inputs, tables.songs[items[row, place]], tables.input_bias, inputs)
            _multiply(tables.recurrent, state, tables.recurrent_bias, kept)
            gates = inputs[: 2 * hidden]
            for number in range(2 * hidden):
                gates[number] = -(gates[number] + kept[number])
            to_powers(gates)
            fresh = inputs[2 * hidden :]
            for number in range(hidden):
                reset = 1 / (1 + gates[number])
                fresh[number] = -2 * (fresh[number] + reset * kept[2 * hidden + number])
            to_powers(fresh)
            for number in range(hidden):
                update = 1 / (1 + gates[hidden + number])
                candidate = 2 / (1 + fresh[number]) - 1  # the hyperbolic tangent
                state[number] = candidate + update * (state[number] - candidate)
    return states


@compiled_sums
def _multiply(
    matrix: NDArray[np.float32],
    vector: NDArray[np.float32],
    bias: NDArray[np.float32],
    product: NDArray[np.float32],
) -> None:
    for row in range(len(matrix)):
        total = bias[row]
        for column in range(len(vector)):
            total += matrix[row, column] * vector[column]
        product[row] = total


class RepeatInference:
    """Predicts whether the next song is a repeat, and which of the songs played before."""

    def __init__(self, head: RepeatHead, songs: Tensor) -> None:
        """Accept a trained head, and the table of songs that it learned with, [V + 1, dim]."""
        self.head = head
        self.songs = songs.detach().numpy()
        self.session_ago = head.session_ago.detach().numpy()
        self.history_ago = head.history_ago.detach().numpy()

    def gate(self, states: Tensor, batch: ListenerBatch) -> Tensor:
        """Return the logit of P(repeat), float32 [B, 1]. states: float32 [B, hidden]."""
        features = torch.from_numpy(_features(*_plays(batch)))
        gate: Tensor = self.head.gate(torch.cat([states, features], 1))
        return gate

    def log_shares(
        self, states: Tensor, batch: ListenerBatch
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the songs played before, each once, int64 [B, S], and their log P(i | repeat).

        float32 [B, S]; 0 and -inf behind the last song.
        """
        queries = (self.head.query(states) / math.sqrt(self.songs.shape[1])).numpy()
        return _log_shares(*_plays(batch), self.songs, queries, self.session_ago, self.history_ago)


Plays = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _plays(batch: ListenerBatch) -> Plays:
    sessions = batch.sessions
    return batch.histories.numpy(), sessions.items.numpy(), sessions.lengths.numpy()


@compiled
def exclude_played(
    products: NDArray[np.float32], found: NDArray[np.int64], played: NDArray[np.int64]
) -> None:
    """Set products, float32 [B, C], to -inf where the song `found` is among `played`.

    found: int64 [B, C]; played: int64 [B, S], 0 behind the last.
    """
    for row in range(len(found)):
        songs = played[row, : (played[row] != PADDING).sum()]
        for column in range(found.shape[1]):
            if _holds(songs, found[row, column]):
                products[row, column] = -np.inf


@compiled
def _holds(songs: NDArray[np.int64], song: int) -> bool:
    # Without a way out of the loop, so that it runs in lanes.
    held = False
    for each in songs:
        held |= each == song
    return held


@compiled
def _features(
    histories: NDArray[np.int64], sessions: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Describe repeats so far as `PlayHistory.features` does, float32 [B, FEATURES]."""
    features = np.empty((len(lengths), FEATURES), np.float32)
    for row in range(len(lengths)):
        plays = lengths[row]
        past = histories[row][histories[row] != PADDING]
        repeats, known, last = 0, 0, False
        for place in range(plays):
            song = sessions[row, place]
            in_history = _holds(past, song)
            last = in_history or _holds(sessions[row, :place], song)
            repeats += last
            known += in_history
        features[row, 0] = np.log(np.float32(plays))
        features[row, 1] = np.float32(repeats) / np.float32(plays)
        features[row, 2] = repeats > 0
        features[row, 3] = last
        features[row, 4] = np.float32(known) / np.float32(plays)
        features[row, 5] = np.log1p(np.float32(len(past)))
        features[row, 6] = len(past) > 0
    return features


@compiled_sums
def _log_shares(
    histories: NDArray[np.int64],
    sessions: NDArray[np.int64],
    lengths: NDArray[np.int64],
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    session_ago: NDArray[np.float32],
    history_ago: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows, past = histories.shape
    songs = np.zeros((rows, past + sessions.shape[1]), np.int64)
    shares = np.full(songs.shape, -np.inf, np.float32)
    logits = np.empty(songs.shape[1], np.float32)
    slots = np.empty(songs.shape[1], np.int64)
    widest = 0
    for row in range(rows):
        count, distinct, greatest = 0, 0, np.float32(-np.inf)
        for place in range(past + lengths[row]):
            before = place < past
            song = histories[row, place] if before else sessions[row, place - past]
            if song == PADDING:
                continue
            ago = past - 1 - place if before else past + lengths[row] - 1 - place
            table = history_ago if before else session_ago
            logit = np.float32(0)
            for column in range(vectors.shape[1]):
                logit += vectors[song, column] * queries[row, column]
            logit += table[min(ago, PLACES - 1)]
            slot = 0
            while slot < distinct and songs[row, slot] != song:
                slot += 1
            if slot == distinct:
                songs[row, slot] = song
                shares[row, slot] = 0
                distinct += 1
            logits[count], slots[count] = logit, slot
            greatest = max(greatest, logit)
            count += 1
        total = np.float32(0)
        for number in range(count):
            power = np.exp(logits[number] - greatest)
            shares[row, slots[number]] += power
            total += power
        for slot in range(distinct):
            shares[row, slot] = np.log(shares[row, slot] / total)
        widest = max(widest, distinct)
    return songs[:, :widest].copy(), shares[:, :widest].copy()
