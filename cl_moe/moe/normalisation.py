"""Batch normalisation, which cannot train on one row."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cl_moe.moe.freezing import kinds_of

__all__ = ("needs_two",)


def needs_two(*modules: nn.Module) -> bool:
    """Tell whether modules need two rows per batch in training, as batch normalisation does.

    >>> needs_two(nn.Linear(2, 2)), needs_two(nn.Sequential(nn.BatchNorm1d(2)))
    (False, True)
    """
    return any(issubclass(kind, _BatchNorm) for module in modules for kind in kinds_of(module))
