"""A-GEM's memory: the rows and random numbers of Avalanche, with a state."""

import pytest
import torch
from avalanche.benchmarks.utils import _make_taskaware_classification_dataset
from avalanche.training.plugins import AGEMPlugin
from torch.utils.data import TensorDataset

from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.strategies.baselines.agem import TensorAGEM


def data(rows, task):
    x = torch.arange(rows * 3.0).reshape(rows, 3) + 100 * task
    pairs = TensorDataset(x, torch.arange(rows) % 2)
    pairs.targets = torch.arange(rows) % 2
    return _make_taskaware_classification_dataset(pairs, task_labels=task)


def drawn(plugin, sizes, batches=9):
    with isolated(threads=1):
        seed_all(7)
        found = []
        for task, rows in enumerate(sizes):
            plugin.update_memory(data(rows, task))
            found += [plugin.sample_from_memory() for _ in range(batches)]
        return found, torch.rand(3)


@pytest.mark.parametrize("sizes", [(20,), (5, 20), (4, 7, 30)])
@pytest.mark.parametrize("limits", [(10, 6), (64, 64), (8, 3)])
def test_rows_and_random_numbers_are_those_of_avalanche(sizes, limits):
    ours, after = drawn(TensorAGEM(*limits), sizes)
    theirs, expected = drawn(AGEMPlugin(*limits), sizes)
    assert torch.equal(after, expected)
    for one, other in zip(ours, theirs, strict=True):
        for mine, its in zip(one, (other[0], other[1], other[-1]), strict=True):
            assert torch.equal(mine, its)


def test_a_restored_memory_goes_on_where_it_was():
    plugin, again = TensorAGEM(10, 6), TensorAGEM(10, 6)
    with isolated(threads=1):
        seed_all(1)
        for task in range(2):
            plugin.update_memory(data(30, task))
        for _ in range(5):  # in the middle of a pass
            plugin.sample_from_memory()
        again.restore(plugin.state())
        random = torch.get_rng_state()
        expected = [plugin.sample_from_memory() for _ in range(6)]
        torch.set_rng_state(random)
        for batch in expected:
            for mine, its in zip(again.sample_from_memory(), batch, strict=True):
                assert torch.equal(mine, its)
