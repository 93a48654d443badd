"""Linear answers in closed form. Shape letters: N examples, D features, C classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ("RidgeAnswer", "fit_ridge")

STRENGTHS = tuple(10.0**power for power in range(-4, 4))
"""Ridge strengths tried, as multiples of the mean eigenvalue of the features' covariance."""
TEMPERATURES = tuple(2.0**power for power in range(-1, 7))
"""Factors tried on the scores before the softmax."""


@dataclass(frozen=True)
class RidgeAnswer:
    """A linear classifier fitted in closed form, with its own out-of-sample evidence.

    Attributes:
        weight: (C, D), already scaled by the temperature, so that logits = x weight^T + bias.
        bias: (C,).
        loo_log_probs: (N, C), log-probabilities of each example from the fit that left it out.
        loo_loss: their mean cross-entropy against the labels, in nats.
    """

    weight: Tensor
    bias: Tensor
    loo_log_probs: Tensor
    loo_loss: float


def fit_ridge(x_ND: Tensor, y_N: Tensor, classes: int) -> RidgeAnswer:
    """Fit ridge regression to one-hot labels; choose strength and temperature by leave-one-out.

    All leave-one-out predictions come from one eigendecomposition: the residual of example i in the
    fit without it is (y_i - yhat_i) / (1 - h_ii), with h the hat matrix (Allen 1974; Hastie et al.,
    Elements of Statistical Learning, eq. 7.64). The mean of the features is taken out first and is
    counted as one more degree of freedom in h.

    Args:
        x_ND: features, any scale.
        y_N: labels 0 to ``classes`` - 1; classes without examples are allowed.
        classes: number of classes C.

    >>> x = torch.tensor([[0.0], [0.1], [0.2], [0.9], [1.0], [1.1]])
    >>> answer = fit_ridge(x, torch.tensor([0, 0, 0, 1, 1, 1]), classes=2)
    >>> (x @ answer.weight.T + answer.bias).argmax(1).tolist(), answer.loo_loss < 0.2
    ([0, 0, 0, 1, 1, 1], True)
    """
    n = x_ND.shape[0]
    x, y = x_ND.detach().double(), F.one_hot(y_N, classes).double()
    mean, target = x.mean(0), y.mean(0)
    x, y = x - mean, y - target
    dual = n <= x.shape[1]
    eigenvalues, vectors = torch.linalg.eigh(x @ x.T if dual else x.T @ x)
    eigenvalues = eigenvalues.clamp_min(0)
    scale = eigenvalues.sum() / min(x.shape) + 1e-12
    left = vectors if dual else x @ vectors / (eigenvalues + 1e-9 * scale).sqrt()
    best: tuple[float, float, float, Tensor] | None = None
    for strength in STRENGTHS:
        shrink = eigenvalues / (eigenvalues + strength * scale)
        fitted = left @ (shrink[:, None] * (left.T @ y))
        leverage = (left.square() @ shrink + 1 / n).clamp_max(1 - 1e-6)
        loo = y - (y - fitted) / (1 - leverage)[:, None] + target
        for temperature in TEMPERATURES:
            log_probs = F.log_softmax(temperature * loo, dim=1)
            loss = F.nll_loss(log_probs, y_N).item()
            if best is None or loss < best[0]:
                best = (loss, strength, temperature, log_probs)
    assert best is not None
    loss, strength, temperature, log_probs = best
    shrunk = vectors / (eigenvalues + strength * scale) @ vectors.T
    weight = temperature * (x.T @ shrunk @ y if dual else shrunk @ (x.T @ y)).T
    bias = temperature * target - weight @ mean
    return RidgeAnswer(weight.float(), bias.float(), log_probs.float(), loss)
