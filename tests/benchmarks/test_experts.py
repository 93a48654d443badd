"""The loops that the benchmark compares learn the same task."""

from __future__ import annotations

import pytest
import torch

from benchmarks import experts
from cl_moe import Task


@pytest.fixture
def colours() -> Task:
    """Ten classes of images, each of one colour, with noise."""
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(300) % 10
    x = torch.rand(10, 3, 1, 1, generator=draw)[y] + 0.1 * torch.rand(300, 3, 8, 8, generator=draw)
    names = [str(label) for label in range(10)]
    return Task("colours", (x[:200], y[:200]), (x[200:], y[200:]), names)


def test_ours_and_the_bare_loop_learn(colours):
    budget = experts.training("one_cycle", 0.01)
    network = experts.VARIANTS[-2].network
    assert network is not None
    accuracies = [experts.our_accuracy(colours, network, budget),
                  experts.bare_accuracy(colours, budget)]  # fmt: skip
    assert min(accuracies) > 60


def test_a_rate_is_selected_on_training_rows_alone(colours, monkeypatch):
    scores = {0.001: 10.0, 0.003: 30.0, 0.01: 20.0}
    seen = []

    def score(variant, task, rate):
        seen.append(task)
        return scores[rate]

    monkeypatch.setattr(experts, "learned", score)
    assert experts.selected(experts.VARIANTS[0], [colours]) == 0.003
    own = {row.numpy().tobytes() for row in colours.tensors("train")[0]}
    assert all(row.numpy().tobytes() in own for task in seen for row in task.tensors("test")[0])


def test_sizes_are_those_of_the_compared_networks():
    sizes = [experts.size(variant) for variant in experts.VARIANTS[-2:]]
    assert 0.9 < sizes[0] / sizes[1] < 1
