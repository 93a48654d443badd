"""Linear answers in closed form. Shape letters: N examples, D features, C classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ("LeaveOneOut", "RidgeAnswer", "fit_ridge", "leave_one_out")

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


class LeaveOneOut(NamedTuple):
    """What leave-one-out says of ridge regression.

    Attributes:
        strength: the ridge strength with the least loss, in the units of the Gram matrix.
        temperature: the factor on the scores that goes with it.
        loss: leave-one-out cross-entropy there, in nats.
        log_probs: (N, C), log-probabilities of each example from the fit that left it out.
    """

    strength: float
    temperature: float
    loss: float
    log_probs: Tensor | None = None


def leave_one_out(gram_NN: Tensor, y_N: Tensor, classes: int) -> LeaveOneOut:
    """Choose ridge strength and temperature by leave-one-out, from inner products alone.

    All leave-one-out predictions come from one eigendecomposition: the residual of example i in the
    fit without it is (y_i - yhat_i) / (1 - h_ii), with h the hat matrix (Allen 1974; Hastie et al.,
    Elements of Statistical Learning, eq. 7.64). The mean of the labels is counted as one more
    degree of freedom in h.

    Args:
        gram_NN: inner products of the examples' features, float64.
        y_N: labels 0 to ``classes`` - 1; classes without examples are allowed.
        classes: number of classes C.

    >>> x = torch.tensor([[-1.0], [-0.9], [0.9], [1.0]], dtype=torch.float64)
    >>> leave_one_out(x @ x.T, torch.tensor([0, 0, 1, 1]), 2).loss < 0.2
    True
    """
    eigenvalues, vectors = torch.linalg.eigh(gram_NN)
    eigenvalues = eigenvalues.clamp_min(0)
    scale = eigenvalues.sum() / len(y_N) + 1e-12
    return _best(eigenvalues, vectors, scale, y_N, classes)


def _best(
    eigenvalues: Tensor, left: Tensor, scale: Tensor, y_N: Tensor, classes: int
) -> LeaveOneOut:
    """Return the best strength and temperature, given the hat matrix's eigenvectors (N, R)."""
    y = F.one_hot(y_N, classes).double()
    target = y.mean(0)
    y = y - target
    projected, squared = left.T @ y, left.square()
    temperatures = y.new_tensor(TEMPERATURES)[:, None, None]
    rows = torch.arange(len(y_N), device=y_N.device)
    best: LeaveOneOut | None = None
    for strength in STRENGTHS:
        shrink = eigenvalues / (eigenvalues + strength * scale)
        fitted = left @ (shrink[:, None] * projected)
        leverage = (squared @ shrink + 1 / len(y_N)).clamp_max(1 - 1e-6)
        loo = y - (y - fitted) / (1 - leverage)[:, None] + target
        log_probs_TNC = (temperatures * loo).log_softmax(2)
        losses = -log_probs_TNC[:, rows, y_N].mean(1)
        t = int(losses.argmin())
        if best is None or float(losses[t]) < best.loss:
            found = (float(strength * scale), TEMPERATURES[t], float(losses[t]))
            best = LeaveOneOut(*found, log_probs_TNC[t].clone())
    assert best is not None
    return best


def fit_ridge(x_ND: Tensor, y_N: Tensor, classes: int) -> RidgeAnswer:
    """Fit ridge regression to one-hot labels; choose strength and temperature by leave-one-out.

    See :func:`leave_one_out`; the mean of the features is taken out first.

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
    x, target = x_ND.detach().double(), F.one_hot(y_N, classes).double().mean(0)
    y = F.one_hot(y_N, classes).double() - target
    mean = x.mean(0)
    x = x - mean
    dual = n <= x.shape[1]
    eigenvalues, vectors = torch.linalg.eigh(x @ x.T if dual else x.T @ x)
    eigenvalues = eigenvalues.clamp_min(0)
    scale = eigenvalues.sum() / min(x.shape) + 1e-12
    left = vectors if dual else x @ vectors / (eigenvalues + 1e-9 * scale).sqrt()
    best = _best(eigenvalues, left, scale, y_N, classes)
    shrunk = vectors / (eigenvalues + best.strength) @ vectors.T
    weight = best.temperature * (x.T @ shrunk @ y if dual else shrunk @ (x.T @ y)).T
    bias = best.temperature * target - weight @ mean
    assert best.log_probs is not None
    return RidgeAnswer(weight.float(), bias.float(), best.log_probs.float(), best.loss)
