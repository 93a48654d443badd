"""Joint training sees all data, with the steps of the whole stream."""

from __future__ import annotations

from dataclasses import replace

import torch
from avalanche.core import SupervisedPlugin

from cl_moe.strategies.methods.base import build_method


class Seen(SupervisedPlugin):
    """Notes every row and its task."""

    def __init__(self):
        super().__init__()
        self.rows = set()

    def after_forward(self, strategy, *args, **kwargs):
        tasks = strategy.mb_task_id.tolist()
        for row, task in zip(strategy.mb_x.tolist(), tasks, strict=True):
            self.rows.add((task, *row))


def test_every_row_of_every_task_is_seen(context):
    method, seen = build_method("joint", {}, context), Seen()
    assert method.joint
    method.strategy.plugins.insert(0, seen)
    experiences = list(context.stream.to_benchmark().train_stream)[:3]
    method.strategy.train(experiences, eval_streams=[])
    expected = {
        (position, *row)
        for position, task in enumerate(context.stream)
        for row in task.tensors("train")[0].tolist()
    }
    assert seen.rows == expected
    assert all(method.strategy.model.knows(task) for task in range(3))


def test_it_takes_the_steps_of_the_whole_stream(context, learn):
    training = context.training.model_copy(update={"min_steps": 30})
    context = replace(context, training=training)
    together = learn(context, "joint").strategy.clock.train_iterations
    one_by_one = learn(context, "dense").strategy.clock.train_iterations
    assert one_by_one == 90
    assert 90 <= together < 90 + 9  # at most an epoch over all 72 rows more


def test_rows_of_tasks_of_different_sizes_share_a_batch(context, learn):
    """The second task has three classes, the others two: absent classes get no probability."""
    model = learn(context, "joint").strategy.model.eval()
    x = torch.cat([task.tensors("test")[0][:2] for task in context.stream])
    p = model(x, torch.tensor([0, 0, 1, 1, 2, 2])).softmax(1)
    assert p.shape == (6, 3)
    assert not p[[0, 1, 4, 5], 2].any()
