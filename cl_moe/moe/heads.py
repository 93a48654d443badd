"""Heads: from features to the classes of one task."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.ridge import RidgeAnswer

__all__ = ("EvidenceHead", "FeatureSet", "linear_of", "take_over")


class FeatureSet(NamedTuple):
    """What one term of an evidence head reads.

    Attributes:
        task: the earlier task whose path is read; -1 for the raw input.
        part: the path's features, its answers (class probabilities), or both side by side.
    """

    task: int
    part: Literal["features", "answers", "both"] = "features"


class EvidenceHead(nn.Module):
    """Averages the closed-form answers on several feature sets: p(y|x) = sum_s w_s p_s(y|x).

    The weights are those of :class:`~cl_moe.moe.gates.evidence.EvidenceGate`. Feature sets of
    weight below one in a thousand are left out, so that predicting costs only what counts.

    Args:
        answers: the closed-form answer on each feature set.
        weights: (S,), the weight of each.

    >>> from cl_moe.moe.ridge import fit_ridge
    >>> x, y = torch.rand(8, 3), torch.tensor([0, 1] * 4)
    >>> head = EvidenceHead({FeatureSet(-1): fit_ridge(x, y, 2)}, torch.ones(1))
    >>> head({FeatureSet(-1): x}).exp().sum(1).allclose(torch.ones(8))
    True
    """

    def __init__(self, answers: Mapping[FeatureSet, RidgeAnswer], weights: Tensor) -> None:
        super().__init__()
        kept = [i for i, weight in enumerate(weights.tolist()) if weight >= 1e-3]
        self.sets: list[FeatureSet] = [list(answers)[i] for i in kept]
        share = weights[kept] / weights[kept].sum()
        self.log_weights = nn.Parameter(share.log())
        self.linears = nn.ModuleList()
        for key in self.sets:
            answer = answers[key]
            self.linears.append(linear_of(answer.weight, answer.bias))

    @property
    def weights(self) -> dict[FeatureSet, float]:
        """The weight of each feature set."""
        shares = self.log_weights.detach().softmax(0).tolist()
        return dict(zip(self.sets, shares, strict=True))

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        linear = self.linears[0]
        assert isinstance(linear, nn.Linear)
        return linear.out_features

    def forward(self, features: Mapping[FeatureSet, Tensor]) -> Tensor:
        """Return log-probabilities (B, C), which serve as logits."""
        terms = [
            F.log_softmax(linear(features[key]), dim=1)
            for key, linear in zip(self.sets, self.linears, strict=True)
        ]
        weights = F.log_softmax(self.log_weights, dim=0)
        return torch.logsumexp(torch.stack(terms) + weights[:, None, None], dim=0)


def take_over(head: nn.Module, classes: Sequence[int]) -> nn.Module:
    """Return a copy of a head whose output c is the old head's output ``classes[c]``.

    >>> old = nn.Linear(2, 3)
    >>> new = take_over(old, [2, 0])
    >>> bool(torch.equal(new.weight[0], old.weight[2]))
    True
    """
    if isinstance(head, EvidenceHead):
        new = copy.deepcopy(head)
        new.linears = nn.ModuleList(take_over(linear, classes) for linear in head.linears)
        return new
    assert isinstance(head, nn.Linear)
    return linear_of(head.weight[list(classes)], head.bias[list(classes)])


def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear map with copies of the given parameters; draws no random numbers.

    >>> linear_of(torch.eye(2), torch.zeros(2))(torch.tensor([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    made = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    made.weight = nn.Parameter(weight.detach().clone())
    made.bias = nn.Parameter(bias.detach().clone())
    return made
