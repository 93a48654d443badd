"""Closed-form score of features for a task. Shape letters: N rows, D features, C classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.continual.evidence.ridge import fit_ridge
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification

__all__ = ("feature_score", "ncm")


def feature_score(x_ND: Tensor, y: Tensor, objective: Objective | None = None) -> float:
    """Return how well features suit a task: higher is better.

    For classes the leave-one-out accuracy of :func:`ncm`; for other objectives minus the
    leave-one-out loss of ridge regression, in nats per row. Paths are ranked by their *gain*, this
    score on their features minus that on the raw input: the difficulty of the task cancels.

    Args:
        x_ND: features.
        y: labels (N,); of another objective its targets.
        objective: what is learned; None: classes.

    >>> from cl_moe.objectives.regression import Regression
    >>> x, y = torch.arange(8.0)[:, None], torch.tensor([3.0, 1, 4, 1, 5, 9, 2, 6])[:, None]
    >>> linear = feature_score(x, 2 * x + 1, Regression(1))
    >>> linear > feature_score(x, y, Regression(1))
    True
    """
    if objective is None or isinstance(objective, Classification):
        return ncm(x_ND, y)
    return -fit_ridge(_standard(x_ND), y, objective).loo_loss


def ncm(x_ND: Tensor, y_N: Tensor) -> float:
    """Return the leave-one-out accuracy of the nearest class mean, 0 to 1.

    The mean of a row's own class is taken without the row (the classifier: Mensink et al. 2013).
    Features are centred and brought to one scale first.

    >>> x = torch.tensor([[0.0], [0.1], [1.0], [1.1]])
    >>> ncm(x, torch.tensor([0, 0, 1, 1])), ncm(x, torch.tensor([0, 1, 0, 1]))
    (1.0, 0.0)
    """
    x, y = _standard(x_ND), torch.unique(y_N, return_inverse=True)[1]
    one_hot = F.one_hot(y).to(x.dtype)
    count_C = one_hot.sum(0)
    mean_CD = one_hot.T @ x / count_C[:, None]
    distance_NC = torch.cdist(x, mean_CD)
    # Without x the mean of its class is farther from it by n / (n - 1); a class of one has no mean.
    own = count_C[y]
    factor = torch.where(own > 1, own / (own - 1).clamp_min(1), torch.inf)
    rows = torch.arange(len(y))
    distance_NC[rows, y] = torch.nan_to_num(distance_NC[rows, y] * factor, nan=torch.inf)
    return float((distance_NC.argmin(1) == y).double().mean())


def _standard(x_ND: Tensor) -> Tensor:
    """Return features with mean 0 and mean square 1 over all; constant features are 0."""
    x = x_ND.detach().double()
    x = x - x.mean(0)
    return x / x.square().mean().sqrt().clamp_min(1e-9)
