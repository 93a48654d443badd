"""Methods that are the same method in a special case give the same numbers.

=============================================  =====================================================
a mixture of one expert is the dense network   test_a_mixture_of_one_expert_is_the_dense_network
one expert per task is one network per task    test_an_expert_per_task_is_a_network_per_task
joint training on one task is training on it   test_joint_training_on_one_task_is_the_dense_network
a penalty of strength 0 is no penalty          test_a_penalty_of_strength_0_is_no_penalty
a frozen path never changes                    test_a_path_never_changes_once_it_is_frozen
=============================================  =====================================================

See also ``test_fisher.py`` here; ``tests/strategies/test_frozen_is_frozen.py`` and
``tests/training/test_frozen_state.py`` for frozen predictions of every method and kind of trunk;
``tests/continual/regularizers/test_ewc.py`` for the penalty against a sum over tasks.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.strategies.methods.base import build_method
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.testing.learning import toy_context, toy_task

NETWORKS = {
    "mlp": NetworkSpec(hidden=[8, 5]),
    "conv": NetworkSpec(kind="conv", channels=[3], feature_dim=6),
}
SHAPES = {"mlp": (6,), "conv": (1, 8, 8)}
TRAINED = (
    TrainingSpec(epochs=2, batch_size=8, learning_rate=0.03, min_steps=0),
    TrainingSpec(epochs=2, batch_size=8, learning_rate=0.1, min_steps=0, optimizer="sgd",
                 momentum=0.9, weight_decay=0.01),
)  # fmt: skip


def _context(kind: str, training: TrainingSpec, tasks: int = 3) -> Any:
    stream = TaskStream([toy_task(k, shape=SHAPES[kind]) for k in range(tasks)])
    return toy_context(stream, network=NETWORKS[kind], training=training)


def _outputs(context: Any, method: str, **parameters: Any) -> list[list[Tensor]]:
    """Return the logits of all tasks so far on their test rows, after each task."""
    stream, found = context.stream, []
    with isolated(threads=1):
        built = build_method(method, parameters, context)
        experiences = stream.to_benchmark().train_stream[: len(stream)]
        for position, experience in enumerate(experiences):
            seed_all(position)
            built.strategy.train([experience] if built.joint else experience, eval_streams=[])
            model = built.strategy.model.eval()
            with torch.no_grad():
                found.append([model(stream[k].tensors("test")[0], k) for k in range(position + 1)])
    return found


def _assert_same(left: list[list[Tensor]], right: list[list[Tensor]]) -> None:
    for before, after in zip(left, right, strict=True):
        for one, other in zip(before, after, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("training", TRAINED, ids=["adam", "sgd"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_mixture_of_one_expert_is_the_dense_network(kind, training):
    """The gate weighs its one expert with exactly 1, and rows are not reordered: bit for bit."""
    context = _context(kind, training)
    dense = _outputs(context, "dense")
    for gate in ("task", "masked", "multi_gate"):
        mixture = _outputs(context, "moe", gate=gate, growth="fixed", experts=1)
        _assert_same(dense, mixture)


@pytest.mark.parametrize("training", TRAINED, ids=["adam", "sgd"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_an_expert_per_task_is_a_network_per_task(kind, training):
    context = _context(kind, training)
    single = _outputs(context, "single_task")
    _assert_same(single, _outputs(context, "moe", growth="per_task"))


@pytest.mark.parametrize("training", TRAINED, ids=["adam", "sgd"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_joint_training_on_one_task_is_the_dense_network(kind, training):
    context = _context(kind, training, tasks=1)
    _assert_same(_outputs(context, "dense"), _outputs(context, "joint"))


@pytest.mark.parametrize("method", ["ewc", "ewc_avalanche", "si"])
def test_a_penalty_of_strength_0_is_no_penalty(method):
    """Of the penalties that hold no earlier head, which momentum moves at a gradient of 0."""
    context = _context("mlp", TRAINED[0])
    _assert_same(_outputs(context, "dense"), _outputs(context, method, strength=0.0))


@pytest.mark.parametrize("training", TRAINED, ids=["adam", "sgd"])
@pytest.mark.parametrize("growth", ["reuse_or_grow", "mntdp", "per_task"])
def test_a_path_never_changes_once_it_is_frozen(growth, training):
    """Its parameters, buffers and predictions, while all later tasks are learned: bit for bit."""
    context = _context("mlp", training, tasks=4)
    stream, kept = context.stream, []
    with isolated(threads=1):
        seed_all(0)
        built = build_method("moe", {"growth": growth}, context)
        for position, experience in enumerate(stream.to_benchmark().train_stream[:4]):
            built.strategy.train(experience, eval_streams=[])
            model = built.strategy.model.eval()
            x = stream[position].tensors("test")[0]
            with torch.no_grad():
                kept.append((position, x, model(x, position), _path(model, position)))
                for task, rows, before, tensors in kept:
                    assert torch.equal(model(rows, task), before)
                    now = _path(model, task)
                    assert now.keys() == tensors.keys()
                    assert all(torch.equal(now[name], tensors[name]) for name in now)
    assert len(kept) == 4


def _path(model: Any, task: int) -> dict[str, Tensor]:
    """Return copies of the parameters and buffers of a task's module alone."""
    return {name: value.clone() for name, value in model.for_task(task).state_dict().items()}
