"""Which class of an earlier task is which class of a new one."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_moe.objectives.classification import calibrated

__all__ = ("calibrated", "is_one_shot", "match_classes", "matching_evidence", "spread")

PARTS = 3
"""Parts that examples are cut into for out-of-sample evidence."""


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
    known = log_probs_NC.detach().cpu().double().nan_to_num(nan=-30.0).clamp_min(-30)
    gain.index_add_(0, y_N.cpu(), known)
    from scipy.optimize import linear_sum_assignment  # half a second, when it is needed

    _, columns = linear_sum_assignment(gain.numpy(), maximize=True)
    return [int(column) for column in columns]


def matching_evidence(log_probs_NC: Tensor, y_N: Tensor, n_classes: int) -> tuple[float, float]:
    """Return the temperature and the cross-entropy (nats) of matched answers, out of sample.

    Each third of the examples is predicted with the classes matched on the others. With one example
    a class nothing can be left out: the loss is then that of the examples that the classes were
    matched on, and only log C! nats more, the price of a matching, tell merit from chance.

    >>> log_probs = torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log().repeat(6, 1)
    >>> temperature, loss = matching_evidence(log_probs, torch.tensor([1, 0]).repeat(6), 2)
    >>> loss < 0.2
    True
    """
    if is_one_shot(y_N):
        classes = match_classes(log_probs_NC, y_N, n_classes)
        temperature, losses = calibrated(log_probs_NC[:, classes], y_N)
        return temperature, losses.mean().item()
    part = spread(y_N, PARTS)
    matched = log_probs_NC.new_empty(len(y_N), n_classes)
    for number in range(PARTS):
        held = part == number
        classes = match_classes(log_probs_NC[~held], y_N[~held], n_classes)
        matched[held] = log_probs_NC[held][:, classes]
    temperature, losses = calibrated(matched, y_N)
    return temperature, losses.mean().item()


def is_one_shot(y_N: Tensor, most: int = 1) -> bool:
    """Tell whether most classes have but one example, or no more than so many.

    With one, nothing can be left out: none is there to learn the class from. Targets that are real
    numbers have no classes.

    >>> is_one_shot(torch.tensor([0, 1, 2, 2])), is_one_shot(torch.tensor([0, 1, 1, 2, 2]))
    (True, False)
    >>> is_one_shot(torch.tensor([0, 1, 1, 2, 2]), most=2)
    True
    """
    if y_N.is_floating_point():
        return False
    counts = y_N.bincount()
    return bool(2 * ((counts > 0) & (counts <= most)).sum() > (counts > 0).sum())


def spread(y_N: Tensor, parts: int) -> Tensor:
    """Cut examples into parts with the classes spread evenly; return each one's part, (N,).

    >>> spread(torch.tensor([0, 1, 0, 1, 0, 1]), 3).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    part = torch.empty_like(y_N)
    part[y_N.argsort(stable=True)] = torch.arange(len(y_N), device=y_N.device) % parts
    return part
