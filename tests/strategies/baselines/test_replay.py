"""The memory is shared equally, drawn from the seed, and joins every batch."""

from __future__ import annotations

import torch
from avalanche.core import SupervisedPlugin
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.strategies.baselines.replay import MemoryReplay, _shares
from cl_moe.strategies.methods.base import build_method, sequential


@given(st.integers(0, 100), st.dictionaries(st.integers(0, 9), st.integers(1, 40), min_size=1))
def test_shares_fill_the_memory_as_equally_as_can_be(memory, available):
    sizes = _shares(memory, available)
    assert sum(sizes.values()) == min(memory, sum(available.values()))
    for task, size in sizes.items():
        assert 0 <= size <= available[task]
        if size < available[task]:
            assert size >= max(sizes.values()) - 1


class Batches(SupervisedPlugin):
    def __init__(self):
        super().__init__()
        self.tasks = []

    def after_forward(self, strategy, *args, **kwargs):
        self.tasks.append(strategy.mb_task_id.tolist())


def test_half_of_each_batch_is_remembered_and_steps_are_as_many_as_without(context, learn):
    memory, batches = MemoryReplay(10, seed=0), Batches()
    strategy = sequential(context, plugins=[memory, batches]).strategy
    sizes = []
    for experience in list(context.stream.to_benchmark().train_stream)[:3]:
        strategy.train(experience, eval_streams=[])
        sizes.append({task: len(y) for task, (_, y) in memory._kept.items()})
    assert sizes == [{0: 10}, {0: 5, 1: 5}, {0: 3, 1: 3, 2: 4}]
    assert len(batches.tasks) == learn(context, "dense").strategy.clock.train_iterations
    per_task = len(batches.tasks) // 3
    assert all(tasks == [0] * 8 for tasks in batches.tasks[:per_task])
    for tasks in batches.tasks[-per_task:]:
        assert tasks[:8] == [2] * 8
        assert set(tasks[8:]) <= {0, 1}
        assert len(tasks) == 16


def test_remembered_rows_are_rows_of_their_task(context):
    strategy = build_method("replay", {"memory": 12}, context).strategy
    (memory,) = (p for p in strategy.plugins if isinstance(p, MemoryReplay))
    for experience in list(context.stream.to_benchmark().train_stream)[:2]:
        strategy.train(experience, eval_streams=[])
    for task, (x, y) in memory._kept.items():
        whole_x, whole_y = context.stream[task].tensors("train")
        for row, label in zip(x, y, strict=True):
            (found,) = (whole_x == row).all(1).nonzero().flatten().tolist()
            assert whole_y[found] == label
    assert len(memory) == 12
    assert torch.equal(memory._rows[2].unique(), torch.tensor([0, 1]))


def test_restored_it_draws_the_rows_that_it_would_have_drawn(context, learn):
    memory, again = MemoryReplay(10, seed=0), MemoryReplay(10, seed=0)
    strategy = sequential(context, plugins=[memory]).strategy
    first, second, *_ = context.stream.to_benchmark().train_stream
    strategy.train(first, eval_streams=[])
    again.restore(memory.state())
    strategy.train(second, eval_streams=[])
    other = sequential(context, plugins=[again]).strategy
    other.model.adaptation(first)
    other.train(second, eval_streams=[])
    for (x, y), (x_again, y_again) in zip(memory._kept.values(), again._kept.values(), strict=True):
        assert torch.equal(x, x_again)
        assert torch.equal(y, y_again)
