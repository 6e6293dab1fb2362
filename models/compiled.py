"""Loops that run as machine code: compiled at the first call, and kept on disk for the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers; other threads run beside it."""
    return cast(Callable[P, R], njit(cache=True, nogil=True)(function))


def compiled_sums(function: Callable[P, R]) -> Callable[P, R]:
    """Do so for sums of many products: added up in lanes, in the same order at every call.

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
