"""The penalties of the Riemannian walk where Avalanche's are not numbers."""

from __future__ import annotations

import pytest
import torch

from cl_moe.streams.spec import TrainingSpec
from cl_moe.testing.learning import toy_context, toy_stream


@pytest.mark.parametrize("every", [2, 1000])
def test_a_task_of_fewer_steps_than_an_update_has_penalties(learn, every):
    """Three steps per task; without a score, penalties are the importance relative to the most."""
    training = TrainingSpec(epochs=1, batch_size=8, learning_rate=0.03, min_steps=0)
    context = toy_context(toy_stream(), training=training)
    method = learn(context, "rwalk", 2, every=every)
    (plugin,) = [p for p in method.strategy.plugins if hasattr(p, "exp_penalties")]
    penalties = torch.cat([value.data.flatten() for value in plugin.exp_penalties.values()])
    assert bool(penalties.isfinite().all())
    assert bool((penalties >= 0).all())
    if every == 1000:
        assert float(penalties.max()) == 1.0
    x = context.stream[0].tensors("test")[0]
    assert bool(method.strategy.model.eval()(x, 0).isfinite().all())


def test_a_run_that_diverged_stays_so(learn):
    usual = TrainingSpec(epochs=1, optimizer="sgd", min_steps=0)
    training = usual.model_copy(update={"learning_rate": 1e30})  # beyond the bounds
    method = learn(toy_context(toy_stream(), training=training), "rwalk", 2)
    assert not all(bool(p.isfinite().all()) for p in method.strategy.model.parameters())
