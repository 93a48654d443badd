"""The table of metrics: which direction is better, and that nobody changes it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from cl_moe.analysis.metrics import METRICS

NEUTRAL = {"experts", "steps", "decisions", "decision_share", "diverged"}
LOWER = {
    "forgetting", "intransigence", "samples_to_target", "parameters", "active_parameters",
    "flops_predict", "flops_train", "peak_memory",
    "train_seconds", "decision_seconds", "eval_seconds", "cpu_seconds",
}  # fmt: skip


def test_losses_and_costs_are_better_if_lower_and_accuracies_if_higher() -> None:
    """The best method of a column is marked by it."""
    found = {name: metric.higher_is_better for name, metric in METRICS.items()}
    assert {name for name, higher in found.items() if higher is None} == NEUTRAL
    assert {name for name, higher in found.items() if higher is False} == LOWER


def test_a_metric_is_a_value_that_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        METRICS["forgetting"].label = "memory"  # type: ignore[misc]
    with pytest.raises(TypeError):
        METRICS["mine"] = METRICS["forgetting"]  # type: ignore[index]
