"""The mixture's decisions on tasks without classes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cl_moe.strategies.methods.base import MethodContext
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.evaluation import evaluate

DRAW = torch.Generator().manual_seed(0)
X, MAP = torch.randn(400, 6, generator=DRAW), torch.randn(6, 3, generator=DRAW)


def related(kind: str, n: int) -> TaskStream:
    """Return two tasks of one nonlinear feature: n rows, then 40; what is learned helps."""
    inner = (X @ MAP).tanh()

    def made(name: str, rows: slice, direction: list[float]) -> Task:
        y = inner @ torch.tensor(direction)
        y = y[:, None] if kind == "regression" else (y[:, None] > 0).int()
        return Task(name, (X[rows], y[rows]), (X[300:], y[300:]), objective=kind)

    return TaskStream(
        [made("rich", slice(0, n), [1.0, -1.0, 1.0]), made("poor", slice(0, 40), [1.0, -0.9, 1.1])]
    )


@pytest.mark.parametrize("growth", ["reuse_or_grow", "mntdp"])
@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_what_was_learned_of_a_task_without_classes_serves_the_next(kind, growth, learn):
    context = MethodContext(
        stream=related(kind, 260),
        network=NetworkSpec(hidden=[24]),
        training=TrainingSpec(epochs=30, batch_size=16, learning_rate=0.01),
        seed=0,
    )
    method = learn(context, "moe", growth=growth)
    (score, value) = evaluate(method.strategy, context.stream.to_benchmark().test_stream)[1].score
    single_task = replace(context, stream=TaskStream([context.stream[1]]))
    own = learn(single_task, "moe", growth=growth)
    (_, before) = evaluate(own.strategy, single_task.stream.to_benchmark().test_stream)[0].score
    assert value > before - 0.02
    assert value > {"r2": 0.6, "f1": 0.8}[score]
    assert len(method.strategy.events) == 2
    assert all(event["sentence"] for event in method.strategy.events)


@pytest.mark.parametrize("protect", ["distillation", "ewc", "none"])
def test_a_limit_on_experts_is_kept(protect, learn):
    context = MethodContext(
        stream=related("regression", 100),
        network=NetworkSpec(hidden=[8]),
        training=TrainingSpec(epochs=2, batch_size=16, learning_rate=0.01),
        seed=0,
    )
    options = {"protect": protect, "reassign_margin": -9.0, "kinds": ["fresh"]}
    method = learn(context, "moe", max_experts=1, growth_options=options)
    last = method.strategy.events[-1]
    assert last["kind"] == "reassign"
    assert last["agreement"]["rich"] <= 1
    assert len(evaluate(method.strategy, context.stream.to_benchmark().test_stream)) == 2
