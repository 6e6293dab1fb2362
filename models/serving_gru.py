"""The GRU as it serves: the same states as `GRU.states`, session after session.

Nothing is padded, neither rows to whole blocks nor sessions to the longest, so that one listener
costs what one listener takes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.compiled import compiled_sums
from models.elementary import to_powers
from models.gru import GRU


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
        """Take them from a trained network."""
        cell = model.recurrence.state_dict()
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        tensors = (model.songs.weight, *(cell[f"{kind}_l0"] for kind in kinds))
        return cls(*(each.detach().contiguous().numpy() for each in tensors))

    def states(self, items: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the state after each session's last play, float32 [B, H].

        items: int64 [B, T], right-padded with 0. lengths: int64 [B], >= 1.
        """
        return _states(self, items, lengths)


@compiled_sums
def _states(
    tables: GRUTables, items: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.float32]:
    hidden = tables.recurrent.shape[1]
    states = np.zeros((len(lengths), hidden), np.float32)
    told, kept = np.empty(3 * hidden, np.float32), np.empty(3 * hidden, np.float32)
    for row in range(len(lengths)):
        state = states[row]
        for place in range(lengths[row]):
            _multiply(tables.inputs, tables.songs[items[row, place]], tables.input_bias, told)
            _multiply(tables.recurrent, state, tables.recurrent_bias, kept)
            gates = told[: 2 * hidden]
            for number in range(2 * hidden):
                gates[number] = -(gates[number] + kept[number])
            to_powers(gates)
            fresh = told[2 * hidden :]
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
