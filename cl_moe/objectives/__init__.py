"""Objectives of tasks: classification, regression, multi-label classification."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ("SCORES",)

SCORES: Mapping[str, str] = MappingProxyType(
    {"classification": "accuracy", "regression": "r2", "multilabel": "f1"}
)
"""Primary metric of each objective. The names are unique among all metrics of all objectives, so
the rows of a task hold exactly one score."""
