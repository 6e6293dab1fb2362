"""Weighted matrix factorisation: the vectors that van den Oord's network learns to predict.

After Hu, Koren and Volinsky (2008). A listener u who played song i r_ui times prefers it, p_ui = 1,
with confidence c_ui; what was never played is taken for a weak no, p_ui = 0 with c_ui = 1:

    c_ui = 1 + alpha log(1 + r_ui / epsilon)
    minimise  sum over u, i of c_ui (p_ui - x_u . y_i)^2  +  lambda (sum |x_u|^2 + sum |y_i|^2)

With the one side fixed the other has a closed solution, so that they are solved in turns. The
turns are those of the library `implicit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from segue.models.errors import SegueError
from segue.models.validation import require_above

Floats = NDArray[np.float32]


class FactorsError(SegueError):
    """Plays that cannot be factorised, or a library that is missing."""


@dataclass(frozen=True)
class FactorsConfig:
    """How plays are factorised; bad values raise ValueError.

    dim: factors. alpha, epsilon: confidence, as above. regularisation: lambda. turns: how often
    each side is solved.
    """

    dim: int = 40
    alpha: float = 2.0
    epsilon: float = 1.0
    regularisation: float = 1.0
    turns: int = 20

    def __post_init__(self) -> None:
        require_above(self, 0, "dim", "alpha", "epsilon", "regularisation", "turns")


@dataclass(frozen=True)
class Factors:
    """Both sides: listeners float32 [U, D] and songs float32 [I, D]."""

    listeners: Floats
    songs: Floats


def confidence(counts: csr_matrix, config: FactorsConfig) -> csr_matrix:
    """Return c_ui where something was played, float32 [U, I]; everywhere else it is 1.

    counts: plays of each listener, [U, I].

    >>> confidence(csr_matrix([[0, 1]]), FactorsConfig(alpha=2, epsilon=1)).toarray().round(3)
    array([[0.   , 2.386]], dtype=float32)
    """
    made = counts.astype(np.float32)
    made.data = (1 + config.alpha * np.log1p(made.data / config.epsilon)).astype(np.float32)
    return made


def factorise(
    counts: csr_matrix,
    config: FactorsConfig,
    *,
    seed: int = 0,
    on_turn: Callable[[int], None] = lambda turn: None,
) -> Factors:
    """Factorise play counts [U, I]; the same counts and seed give the same factors.

    FactorsError where nothing was played, or `implicit` is not installed.
    """
    if not counts.nnz:
        raise FactorsError("nobody played anything, so that nothing can be factorised")
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise FactorsError(
            "factors need the library implicit: pip install 'segue[audio]'"
        ) from error
    # implicit shares the work out itself, and warns of a BLAS that would do so once more.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=config.dim,
            regularization=config.regularisation,
            iterations=config.turns,
            num_threads=1,
            random_state=np.random.default_rng(seed),
        )
        model.fit(
            confidence(counts, config),
            show_progress=False,
            callback=lambda turn, *_: on_turn(turn + 1),
        )
    return Factors(model.user_factors, model.item_factors)


def error_terms(
    counts: csr_matrix, listeners: Floats, songs: NDArray[np.int64], config: FactorsConfig
) -> tuple[Floats, Floats]:
    """Return A_i float32 [N, D, D] and b_i float32 [N, D] of these songs, columns of `counts`.

        sum over u of c_ui (p_ui - x_u . y)^2  =  y' A_i y - 2 b_i . y + sum over u of c_ui p_ui
        A_i = X'X + sum over u who played i of (c_ui - 1) x_u x_u'     b_i = sum of c_ui x_u

    listeners: X, float32 [U, D].
    """
    columns = confidence(counts, config).tocsc()
    gram = listeners.T @ listeners
    squares = np.empty((len(songs), *gram.shape), np.float32)
    products = np.empty((len(songs), len(gram)), np.float32)
    for row, song in enumerate(songs):
        played = slice(columns.indptr[song], columns.indptr[song + 1])
        x, c = listeners[columns.indices[played]], columns.data[played, None]
        squares[row] = gram + x.T @ ((c - 1) * x)
        products[row] = (c * x).sum(0)
    return squares, products


def solve_listeners(counts: csr_matrix, songs: Floats, config: FactorsConfig) -> Floats:
    """Return the listeners' side for fixed songs, float32 [U, D]: the closed solution.

    x_u = (Y'C_u Y + lambda I)^-1 Y'C_u p_u, each listener for himself.
    """
    everyone = np.arange(counts.shape[0])
    squares, products = error_terms(csr_matrix(counts.T), songs, everyone, config)
    squares += config.regularisation * np.eye(songs.shape[1], dtype=np.float32)
    solved: Floats = np.linalg.solve(squares, products[:, :, None])[:, :, 0]
    return solved
