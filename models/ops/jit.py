"""Loops that run as machine code: compiled at the first call, and kept on disk for the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers; without the GIL."""
    return cast(Callable[P, R], njit(cache=True, nogil=True)(function))


def compiled_sums(function: Callable[P, R]) -> Callable[P, R]:
    """Compile sums of many products: added up in lanes, in the same order at every call.

    Which order it is, is the compiler's choice: the last bits may differ between machines.
    """
    sums = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
    return cast(Callable[P, R], sums(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function into the loops that call it: arrays handed over are counted, else."""
    return cast(Callable[P, R], njit(nogil=True, inline="always")(function))


def inlined_sums(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of few numbers into the loops that call it, as `compiled_sums` does."""
    sums = njit(nogil=True, inline="always", fastmath={"reassoc", "contract", "nsz"})
    return cast(Callable[P, R], sums(function))


Number = TypeVar("Number", bound=np.generic)


class Scratch(threading.local, Generic[Number]):
    """An array of zeros of each thread's own.

    Whoever writes to `array` leaves zeros behind, entry by entry. Made anew at each call it
    would cost as much as the catalogue is large, however few songs a listener is concerned with.
    """

    def __init__(self, size: int, dtype: type[Number]) -> None:
        self.array: NDArray[Number] = np.zeros(size, dtype)

    def room(self, size: int) -> NDArray[Number]:
        """Return `array`, made longer where it has fewer than `size` entries."""
        if len(self.array) < size:
            self.array = np.zeros(size, self.array.dtype)
        return self.array


@compiled
def with_room(array: NDArray[Number], used: int, wanted: int) -> NDArray[Number]:
    """Return `array`, or a longer one that begins with it, with room for `wanted` after `used`."""
    if used + wanted <= len(array):
        return array
    larger = np.empty(2 * (used + wanted), array.dtype)
    larger[:used] = array[:used]
    return larger
