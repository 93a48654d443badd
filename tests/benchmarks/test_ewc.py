"""The benchmark of EWC holds the number of earlier tasks while it times a step."""

from __future__ import annotations

import pytest

from benchmarks.ewc import METHODS, after, context
from cl_moe.runs.randomness import isolated


@pytest.mark.parametrize("method", METHODS)
def test_an_epoch_can_be_taken_again_and_ends_no_task(method):
    given = context(2, rows=256, dim=5, hidden=(4,))
    with isolated(threads=1):
        train = after(given, method)
        strategy = train.__closure__[-1].cell_contents
        held = strategy.clock.train_iterations
        train()
        train()
    assert strategy.clock.train_iterations == held + 2 * 2
    plugin = strategy.plugins[0]
    if method == "Avalanche's, separate":
        assert sorted(k for k, v in plugin.saved_params.items() if v) == [0, 1]
    elif method != "plain":
        assert "after_training_exp" in vars(plugin)
