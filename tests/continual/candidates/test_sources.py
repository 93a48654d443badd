"""Which earlier paths there are, and how they are ranked."""

from __future__ import annotations

import math

import pytest
import torch

from cl_moe.continual.candidates.sources import distinct_paths, gains_of
from cl_moe.continual.evidence.sample import sample_of
from cl_moe.continual.evidence.scores import feature_score
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork


@pytest.fixture
def network():
    """Tasks 0 and 2 on one path, 1 on another, 3 answered by an ensemble that reads that of 1."""
    (factory,) = cut(MLPExpert([9]).stages(), 1)
    network = MoENetwork(Chain([MoELayer(factory, TaskGate(4), (4,), experts=2)]))
    for task, expert in enumerate(("e0", "e1", "e0")):
        network.add_task(task, [[expert]], network.new_head(task, 3))
    weights = {Block(1): torch.zeros(3, 9)}
    network.add_task(3, [], EnsembleHead(weights, torch.zeros(3), {1: 1.0}))
    return network.requires_grad_(False)


def test_each_path_is_named_once_by_the_task_that_learned_it_first(network):
    assert distinct_paths(network) == [0, 1]


@pytest.mark.parametrize(
    ("among", "expected"), [([2], [0]), ([3], [1]), ([3, 2], [0, 1]), ([2, 0], [0])]
)
def test_near_tasks_stand_for_the_paths_that_they_are_answered_through(network, among, expected):
    assert distinct_paths(network, among) == expected


def test_a_gain_is_the_score_of_features_less_that_of_the_raw_input(network):
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    view = TaskView(9, "t", x, (x[:, 0] > 0).long(), 2, 1, 1, torch.optim.Adam)
    sample = sample_of(view, network, torch.arange(50))
    read = network.blocks(x, [RAW, Block(0), Block(1)])
    raw = feature_score(read[RAW], view.y)
    gains = gains_of([0, 1], sample)
    assert gains == {task: feature_score(read[Block(task)], view.y) - raw for task in (0, 1)}


def test_a_path_whose_training_diverged_is_ranked_last(network):
    next(network.moe_layers[0].pool["e1"].parameters()).fill_(math.nan)
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    view = TaskView(9, "t", x, torch.arange(50) % 2, 2, 1, 1, torch.optim.Adam)
    gains = gains_of([0, 1], sample_of(view, network, torch.arange(50)))
    assert gains[1] == -math.inf < gains[0]
