"""Whatever a method learned, a task's answer can be taken out of its model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from avalanche.models import MultiTaskModule

from cl_moe.errors import InputError
from cl_moe.streams.spec import NetworkSpec


def assert_same(model, task, x):
    answer = model.eval().for_task(task)
    assert torch.allclose(answer(x), model(x, task), rtol=0, atol=1e-6)
    assert not any(isinstance(module, MultiTaskModule) for module in answer.modules())
    return sum(parameter.numel() for parameter in answer.parameters())


@pytest.mark.parametrize("name", ["single_task", "dense", "moe", "packnet", "progressive", "ridge"])
def test_a_task_is_answered_the_same(name, context, learn):
    model = learn(context, name).strategy.model
    for task, learned in enumerate(context.stream):
        assert_same(model, task, learned.tensors("test")[0])


@pytest.mark.parametrize("name", ["single_task", "dense", "moe"])
def test_only_one_trunk_and_head_are_held(name, context, learn):
    """One expert a task has the dense network's size."""
    parameters = {"growth": "per_task"} if name == "moe" else {}
    model = learn(context, name, **parameters).strategy.model
    held = assert_same(model, 0, context.stream[0].tensors("test")[0])
    assert held == (6 * 8 + 8) + (8 * 5 + 5) + (5 * 2 + 2)


def test_with_a_shared_head_any_task_is_answered(context, conflicting, learn):
    network = NetworkSpec(hidden=[4], heads="shared")
    shared = replace(context, stream=conflicting, network=network)
    model = learn(shared, "dense", tasks=1).strategy.model
    assert_same(model, 2, conflicting[2].tensors("test")[0])


@pytest.mark.parametrize("name", ["dense", "moe"])
def test_a_task_that_was_not_learned_is_refused(name, context, learn):
    with pytest.raises(InputError, match=r"task 1: has not been learned; .* are 0$"):
        learn(context, name, tasks=1).strategy.model.for_task(1)
