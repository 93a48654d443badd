"""What the outputs of a task mean: classes, real numbers, or labels that are there or not."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ("SCORES",)

SCORES: Mapping[str, str] = MappingProxyType(
    {"classification": "accuracy", "regression": "r2", "multilabel": "f1"}
)
"""Primary metric of each objective. No metric of another one is called like it: so the rows of a
task hold one score, whatever its objective."""
