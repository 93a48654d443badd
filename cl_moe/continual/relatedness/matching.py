"""Which class of an earlier task is which class of a new one."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = ("match_classes",)


def match_classes(log_probs_NC: Tensor, y_N: Tensor, n_classes: int) -> list[int]:
    """Match each new class with a different class of an earlier head, one to one.

    The pairs maximise the sum over examples of the old head's log-probability for the class matched
    with the example's label (Hungarian method). Labels that were only permuted are found again.

    Args:
        log_probs_NC: the old head's log-probabilities for the new task's examples, C >= n_classes.
        y_N: the new labels.
        n_classes: number of new classes; one without examples gets a class that is left over.

    Returns:
        For each new class, the old class.

    >>> log_probs = torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log()
    >>> match_classes(log_probs, torch.tensor([1, 0]), n_classes=2)
    [1, 0]
    """
    assert log_probs_NC.shape[1] >= n_classes, "the old head has fewer classes than the new task"
    gain = torch.zeros(n_classes, log_probs_NC.shape[1], dtype=torch.float64)
    gain.index_add_(0, y_N.cpu(), log_probs_NC.detach().cpu().double().clamp_min(-30))
    _, columns = linear_sum_assignment(gain.numpy(), maximize=True)
    return [int(column) for column in columns]
