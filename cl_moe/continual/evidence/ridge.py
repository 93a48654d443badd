"""Linear answers in closed form. Shape letters: N examples, D features, C classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification

__all__ = ("LeaveOneOut", "RidgeFit", "fit_linear", "fit_ridge", "leave_one_out", "strength_of")

STRENGTHS = tuple(10.0**power for power in range(-4, 4))
"""Ridge strengths tried, as multiples of the mean eigenvalue of the features' covariance."""
TEMPERATURES = tuple(2.0**power for power in range(-1, 7))
"""Factors tried on the scores before the softmax."""


@dataclass(frozen=True)
class RidgeFit:
    """A linear classifier fitted in closed form, with its own out-of-sample evidence.

    Attributes:
        weight: (C, D), already scaled by the temperature, so that logits = x weight^T + bias.
        bias: (C,).
        loo_log_probs: (N, C), log-probabilities of each example from the fit that left it out; of
            another objective than classes, its outputs.
        loo_loss: their mean cross-entropy against the labels, in nats; see :class:`LeaveOneOut`.
    """

    weight: Tensor
    bias: Tensor
    loo_log_probs: Tensor
    loo_loss: float


class LeaveOneOut(NamedTuple):
    """What leave-one-out says of ridge regression.

    Attributes:
        strength: the ridge strength with the least loss, in the units of the Gram matrix.
        temperature: the factor on the scores that goes with it; 1 where they have a scale.
        loss: leave-one-out cross-entropy there, in nats; of other objectives the negative
            log-likelihood of a row: all labels together, or a Gaussian with the variance of the
            leave-one-out errors.
        log_probs: (N, C), log-probabilities of each example from the fit that left it out; of
            another objective, its outputs.
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
    return strength_of(gram_NN, y_N, Classification(classes))


def strength_of(gram_NN: Tensor, y: Tensor, objective: Objective) -> LeaveOneOut:
    """Return :func:`leave_one_out` for targets (N, ...) of any objective.

    >>> from cl_moe.objectives.regression import Regression
    >>> x = torch.tensor([[-1.0], [-0.9], [0.9], [1.0]], dtype=torch.float64)
    >>> found = strength_of(x @ x.T, 3 * x + 1, Regression(1))
    >>> found.temperature, (found.log_probs - 3 * x - 1).abs().max().item() < 0.01
    (1.0, True)
    """
    eigenvalues, vectors = torch.linalg.eigh(gram_NN)
    eigenvalues = eigenvalues.clamp_min(0)
    scale = eigenvalues.sum() / len(y) + 1e-12
    return _best(eigenvalues, vectors, scale, y, objective)


def _best(
    eigenvalues: Tensor, left: Tensor, scale: Tensor, targets: Tensor, objective: Objective
) -> LeaveOneOut:
    """Return the best strength and temperature, given the hat matrix's eigenvectors (N, R)."""
    y = objective.encode(targets)
    target = y.mean(0)
    y = y - target
    projected, squared = left.T @ y, left.square()
    best: LeaveOneOut | None = None
    for strength in STRENGTHS:
        shrink = eigenvalues / (eigenvalues + strength * scale)
        fitted = left @ (shrink[:, None] * projected)
        leverage = (squared @ shrink + 1 / len(y)).clamp_max(1 - 1e-6)
        loo = y - (y - fitted) / (1 - leverage)[:, None] + target
        found = objective.calibrate(loo, targets, TEMPERATURES)
        if best is None or found.loss < best.loss:
            best = LeaveOneOut(float(strength * scale), *found)
    assert best is not None
    return best


def fit_ridge(x_ND: Tensor, y_N: Tensor, classes: int) -> RidgeFit:
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
    return fit_linear(x_ND, y_N, Classification(classes))


def fit_linear(x_ND: Tensor, targets: Tensor, objective: Objective) -> RidgeFit:
    """Fit ridge regression to encoded targets of any objective; see :func:`fit_ridge`.

    Args:
        x_ND: features, any scale.
        targets: (N, ...), as the objective reads them.
        objective: what outputs mean.

    >>> from cl_moe.objectives.regression import Regression
    >>> x = torch.tensor([[0.0], [0.1], [0.2], [0.9], [1.0], [1.1]])
    >>> answer = fit_linear(x, 10 * x + 3, Regression(1))
    >>> [round(value, 1) for value in (*answer.weight[0].tolist(), *answer.bias.tolist())]
    [10.0, 3.0]
    """
    n = x_ND.shape[0]
    encoded = objective.encode(targets)
    x, target = x_ND.detach().double(), encoded.mean(0)
    y = encoded - target
    mean = x.mean(0)
    x = x - mean
    dual = n <= x.shape[1]
    eigenvalues, vectors = torch.linalg.eigh(x @ x.T if dual else x.T @ x)
    eigenvalues = eigenvalues.clamp_min(0)
    scale = eigenvalues.sum() / min(x.shape) + 1e-12
    left = vectors if dual else x @ vectors / (eigenvalues + 1e-9 * scale).sqrt()
    best = _best(eigenvalues, left, scale, targets, objective)
    shrunk = vectors / (eigenvalues + best.strength) @ vectors.T
    weight = best.temperature * (x.T @ shrunk @ y if dual else shrunk @ (x.T @ y)).T
    bias = best.temperature * target - weight @ mean
    assert best.log_probs is not None
    return RidgeFit(weight.float(), bias.float(), best.log_probs.float(), best.loss)
