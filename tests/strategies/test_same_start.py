"""Methods that share nothing learn a task in the same way, number by number."""

from __future__ import annotations

import pytest
import torch

from cl_moe.strategies.methods.base import MethodContext, build_method
from cl_moe.streams.spec import NetworkSpec


def outputs(kind, parameters, context):
    method = build_method(kind, parameters, context)
    for position, experience in enumerate(context.stream.to_benchmark().train_stream[:3]):
        torch.manual_seed(position)
        method.strategy.train(experience, eval_streams=[])
    method.strategy.model.eval()
    with torch.no_grad():
        return [
            method.strategy.model(task.tensors("test")[0], position)
            for position, task in enumerate(context.stream)
        ]


@pytest.mark.parametrize("network", [NetworkSpec(hidden=[8, 5])])
def test_one_expert_a_task_is_one_network_a_task(context, network):
    """A mixture that shares nothing is the baseline `single_task`: what they differ in is sharing."""
    context = MethodContext(context.stream, network, context.training, context.seed)
    single_task = outputs("single_task", {}, context)
    mixture = outputs("moe", {"gate": "task", "growth": "per_task"}, context)
    for one, other in zip(single_task, mixture, strict=True):
        assert torch.equal(one, other)


def test_the_first_task_is_learned_alike_by_all_that_have_nothing_to_share(context):
    first = [outputs(kind, {}, context)[0] for kind in ("single_task", "moe")]
    assert torch.equal(*first)
