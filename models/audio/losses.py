"""What a network of sound is taught by: how far a predicted vector lies from where it should."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor

from segue.models.ops.vectors import unit

SQUARED, WEIGHTED, CONTRASTIVE = "squared", "weighted", "contrastive"
LOSSES = (SQUARED, WEIGHTED, CONTRASTIVE)
TEMPERATURE = 0.1


def squared_error(predicted: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """Return mean |y' - y|^2 over a batch, per dimension and in units of the targets' spread.

    predicted, targets: float32 [B, D]. scale: float32 [], one for all dimensions, as a space of
    vectors has no axes of its own.
    """
    return F.mse_loss(predicted / scale, targets / scale)


def weighted_error(predicted: Tensor, squares: Tensor, products: Tensor) -> Tensor:
    """Return the weighted prediction error of van den Oord et al. (2013), less its constant.

        sum over u of c_ui (p_ui - x_u . y'_i)^2  =  y' A y' - 2 b y' + constant

    with A and b of song i, worked out once (`segue.models.collaborative.als.error_terms`), so that
    a batch costs the same however many listeners there are. In units of b y at its minimum.
    predicted: float32 [B, D]. squares: A, float32 [B, D, D]. products: b, float32 [B, D].
    """
    quadratic = torch.einsum("bd,bde,be->b", predicted, squares, predicted)
    return (quadratic - 2 * (products * predicted).sum(1)).mean()


def contrastive_loss(
    predicted: Tensor, own: Tensor, songs: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """Return how far a predicted vector stands from its song's neighbours among all songs.

    Cross-entropy between two softmaxes over the cosines with `songs`: of the song's own vector,
    and of the predicted one. Other songs repel, as in InfoNCE (van den Oord et al., 2018), but
    those that are nearly the same to listeners do not.

    predicted, own: float32 [B, D]. songs: float32 [M, D], of unit length.
    """
    wanted = (unit(own) @ songs.T / temperature).softmax(1)
    log_shares = (unit(predicted) @ songs.T / temperature).log_softmax(1)
    return -(wanted * log_shares).sum(1).mean()
