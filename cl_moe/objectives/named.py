"""Objectives by name."""

from __future__ import annotations

from types import MappingProxyType

from cl_moe.errors import InputError, did_you_mean
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.objectives.multilabel import Multilabel
from cl_moe.objectives.regression import Regression

__all__ = ("OBJECTIVES", "make_objective")

OBJECTIVES = MappingProxyType({o.name: o for o in (Classification, Regression, Multilabel)})


def make_objective(name: str, n_outputs: int) -> Objective:
    """Return the objective with the given name.

    Raises:
        InputError: no such objective, or no output.

    >>> make_objective("regression", 2)
    Regression(n_outputs=2)
    >>> make_objective(**Multilabel(3).state()) == Multilabel(3)
    True
    """
    if name not in OBJECTIVES:
        raise InputError(f"objective: no '{name}'; {did_you_mean(name, OBJECTIVES)}")
    return OBJECTIVES[name](n_outputs)
