"""What a network of sound is taught by: how far a foretold vector lies from where it should."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor

from segue.models.ops.vectors import unit

SQUARED, WEIGHTED, CONTRASTIVE = "squared", "weighted", "contrastive"
LOSSES = (SQUARED, WEIGHTED, CONTRASTIVE)
TEMPERATURE = 0.1


def squared_error(foretold: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """Give mean |y' - y|^2 over a batch, per dimension and in units of the targets' spread.

    foretold, targets: float32 [B, D]. scale: float32 [], one for all dimensions, as a space of
    vectors has no axes of its own.
    """
    return F.mse_loss(foretold / scale, targets / scale)


def weighted_error(foretold: Tensor, squares: Tensor, products: Tensor) -> Tensor:
    """Give the weighted prediction error of the document, but for what no vector can change.

        sum over u of c_ui (p_ui - x_u . y'_i)^2  =  y' A y' - 2 b y' + constant

    with A and b of song i, worked out once (`segue.models.collaborative.als.error_terms`), so that
    a batch costs the same however many listeners there are. In units of b y at its minimum.
    foretold: float32 [B, D]. squares: A, float32 [B, D, D]. products: b, float32 [B, D].
    """
    quadratic = torch.einsum("bd,bde,be->b", foretold, squares, foretold)
    return (quadratic - 2 * (products * foretold).sum(1)).mean()


def contrastive_loss(
    foretold: Tensor, own: Tensor, songs: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """Give how far a foretold vector stands from its song's company among all songs.

    Cross-entropy between two softmaxes over the cosines with `songs`: of the song's own vector,
    and of the foretold one. Other songs repel, as in InfoNCE (van den Oord et al., 2018), but
    those that are nearly the same to listeners do not.

    foretold, own: float32 [B, D]. songs: float32 [M, D], of unit length.
    """
    wanted = (unit(own) @ songs.T / temperature).softmax(1)
    told = (unit(foretold) @ songs.T / temperature).log_softmax(1)
    return -(wanted * told).sum(1).mean()
