"""What the outputs of a task mean: classes, real numbers, or labels that are there or not."""

from __future__ import annotations

__all__ = ("SCORES",)

SCORES = ("accuracy", "r2", "f1")
"""Primary metrics. Each objective has one of them, and no metric of another is called like it: so
the rows of a task hold one score, whatever its objective."""
