"""Closed-form scores of features for a task. Shape letters: N examples, D features, C classes.

Each score estimates the accuracy of a simple classifier on unseen examples: higher is better.
Experts are ranked by the gain: the score on an expert's features minus the score on the raw input,
which removes the difficulty of the task itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.continual.evidence.ridge import fit_linear, fit_ridge
from cl_moe.objectives.base import Objective

__all__ = ("SCORES", "knn", "logme", "ncm", "of_targets", "ridge")


def ncm(x_ND: Tensor, y_N: Tensor) -> float:
    """Return the leave-one-out accuracy of the nearest class mean, 0 to 1.

    The mean of an example's own class is taken without it (Mensink et al. 2013 for the classifier).
    Features are standardised first.

    >>> x = torch.tensor([[0.0], [0.1], [1.0], [1.1]])
    >>> ncm(x, torch.tensor([0, 0, 1, 1])), ncm(x, torch.tensor([0, 1, 0, 1]))
    (1.0, 0.0)
    """
    x, y = _standard(x_ND), _dense_labels(y_N)
    one_hot = F.one_hot(y).to(x.dtype)
    count_C = one_hot.sum(0)
    mean_CD = one_hot.T @ x / count_C[:, None]
    distance_NC = torch.cdist(x, mean_CD)
    # Leaving x out moves its class mean away from it by the factor n / (n - 1); a class of one has
    # no mean left.
    own = count_C[y]
    factor = torch.where(own > 1, own / (own - 1).clamp_min(1), torch.inf)
    rows = torch.arange(len(y))
    distance_NC[rows, y] = torch.nan_to_num(distance_NC[rows, y] * factor, nan=torch.inf)
    return float((distance_NC.argmin(1) == y).double().mean())


def knn(x_ND: Tensor, y_N: Tensor, k: int = 5) -> float:
    """Return the leave-one-out accuracy of k nearest neighbours by cosine, 0 to 1.

    >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> knn(x, torch.tensor([0, 0, 1, 1]), k=1)
    1.0
    """
    x, y = F.normalize(_standard(x_ND), dim=1), _dense_labels(y_N)
    similarity = x @ x.T
    similarity.fill_diagonal_(-torch.inf)
    k = min(k, max(1, len(y) - 1))
    near = similarity.topk(k, dim=1)
    votes = F.one_hot(y[near.indices], int(y.max()) + 1).to(x.dtype)
    # Similarity breaks ties between equally frequent classes.
    weighted = (votes * (1 + 1e-3 * near.values[..., None])).sum(1)
    return float((weighted.argmax(1) == y).double().mean())


def ridge(x_ND: Tensor, y_N: Tensor) -> float:
    """Return minus the leave-one-out cross-entropy of ridge regression, in nats; 0 is perfect.

    >>> x = torch.tensor([[0.0], [0.1], [1.0], [1.1]])
    >>> ridge(x, torch.tensor([0, 0, 1, 1])) > ridge(x, torch.tensor([0, 1, 0, 1]))
    True
    """
    y = _dense_labels(y_N)
    return -fit_ridge(_standard(x_ND), y, int(y.max()) + 1).loo_loss


def of_targets(x_ND: Tensor, y: Tensor, objective: Objective) -> float:
    """Return :func:`ridge` for targets of any objective: minus the loss in nats per row.

    >>> from cl_moe.objectives.regression import Regression
    >>> x, y = torch.arange(8.0)[:, None], torch.tensor([3.0, 1, 4, 1, 5, 9, 2, 6])[:, None]
    >>> of_targets(x, 2 * x + 1, Regression(1)) > of_targets(x, y, Regression(1))
    True
    """
    return -fit_linear(_standard(x_ND), y, objective).loo_loss


def logme(x_ND: Tensor, y_N: Tensor, steps: int = 11) -> float:
    """Return LogME: the mean log evidence per class and example of Bayesian linear regression.

    You et al. 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", with
    the fixed-point iteration of their algorithm 2 for the precisions alpha and beta.

    >>> x = torch.tensor([[0.0], [0.1], [1.0], [1.1]])
    >>> logme(x, torch.tensor([0, 0, 1, 1])) > logme(x, torch.tensor([0, 1, 0, 1]))
    True
    """
    x, y = _standard(x_ND), _dense_labels(y_N)
    n, d = x.shape
    u, s, _ = torch.linalg.svd(x, full_matrices=False)
    sigma = s.square()
    one_hot = F.one_hot(y).to(x.dtype)
    z2 = (u.T @ one_hot).square()
    beyond = one_hot.square().sum(0) - z2.sum(0)
    evidence = []
    for c in range(one_hot.shape[1]):
        alpha, beta = x.new_tensor(1.0), x.new_tensor(1.0)
        for _ in range(steps):
            denominator = alpha + beta * sigma
            gamma = (beta * sigma / denominator).sum()
            m2 = (beta**2 * sigma * z2[:, c] / denominator.square()).sum()
            residual = (z2[:, c] * (alpha / denominator).square()).sum() + beyond[c].clamp_min(0)
            alpha = gamma / (m2 + 1e-8)
            beta = (n - gamma) / (residual + 1e-8)
        denominator = alpha + beta * sigma
        value = (
            d * alpha.log()
            + n * beta.log()
            - denominator.log().sum()
            - (d - len(sigma)) * alpha.log()
            - beta * residual
            - alpha * m2
            - n * torch.log(x.new_tensor(2 * torch.pi))
        )
        evidence.append(0.5 * value / n)
    return float(torch.stack(evidence).mean())


SCORES: Mapping[str, Callable[[Tensor, Tensor], float]] = MappingProxyType(
    {"knn": knn, "logme": logme, "ncm": ncm, "ridge": ridge}
)


def _standard(x_ND: Tensor) -> Tensor:
    """Return features with mean 0 and the same overall scale; constant features are 0."""
    x = x_ND.detach().double()
    x = x - x.mean(0)
    return x / x.square().mean().sqrt().clamp_min(1e-9)


def _dense_labels(y_N: Tensor) -> Tensor:
    """Return labels 0..C-1 without gaps."""
    dense: Tensor = torch.unique(y_N, return_inverse=True)[1]
    return dense
