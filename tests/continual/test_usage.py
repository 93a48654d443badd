"""Who uses which expert: shares are multiplied down to the experts underneath."""

from __future__ import annotations

import pytest
import torch

from cl_moe.continual.usage import importance, readers
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork


@pytest.fixture
def network():
    """Tasks 0 and 1 have paths through two layers; the lower expert of task 1 is task 0's."""
    low, high = MLPExpert([6, 5]).stages()
    layers = [MoELayer(low, EnsembleGate(4), (4,), experts=2)]
    layers.append(MoELayer(high, EnsembleGate(6), (6,), experts=2, seed=1))
    network = MoENetwork(Chain(layers))
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))
    network.add_task(1, [["e0"], ["e1"]], network.new_head(1, 3))
    return network


def average(network, shares, classes=3):
    blocks = [RAW if task < 0 else Block(task, "log predictions") for task in shares]
    values = network.blocks(torch.zeros(1, 4), blocks)
    weights = {block: torch.zeros(classes, value.shape[1]) for block, value in values.items()}
    return EnsembleHead(weights, torch.zeros(classes), shares)


def test_a_task_with_a_path_uses_its_experts_wholly(network):
    assert readers(network) == {
        (0, "e0"): {0: 1.0, 1: 1.0},
        (1, "e0"): {0: 1.0},
        (1, "e1"): {1: 1.0},
    }


def test_an_average_uses_each_path_by_its_share_and_the_raw_input_has_no_expert(network):
    network.add_task(2, [], average(network, {-1: 0.2, 0: 0.5, 1: 0.3}))
    found = readers(network)
    assert found[0, "e0"][2] == pytest.approx(0.8)  # on both paths
    assert found[1, "e0"][2] == pytest.approx(0.5)
    assert found[1, "e1"][2] == pytest.approx(0.3)


def test_an_average_of_an_average_reaches_the_experts_underneath(network):
    network.add_task(2, [], average(network, {-1: 0.2, 0: 0.5, 1: 0.3}))
    network.add_task(3, [], average(network, {2: 0.6, 1: 0.4}))
    network.add_task(4, [], network.head(3).select([1, 0]))
    found = readers(network)
    for task in (3, 4):
        assert found[0, "e0"][task] == pytest.approx(0.6 * 0.8 + 0.4)
        assert found[1, "e0"][task] == pytest.approx(0.6 * 0.5)
        assert found[1, "e1"][task] == pytest.approx(0.6 * 0.3 + 0.4)
    assert set(found) == {(0, "e0"), (1, "e0"), (1, "e1")}


def test_an_expert_is_worth_what_its_readers_are(network):
    network.add_task(2, [], average(network, {-1: 0.2, 0: 0.5, 1: 0.3}))
    value = importance(network, {0: 0.7, 2: 0.1})  # nothing known of task 1: it counts 1
    assert value[1, "e0"] == pytest.approx(0.7 + 0.5 * 0.1)
    assert value[1, "e1"] == pytest.approx(1.0 + 0.3 * 0.1)
    assert value[0, "e0"] == pytest.approx(0.7 + 1.0 + 0.8 * 0.1)


def test_experts_side_by_side_share_a_task_evenly():
    layer = MoELayer(MLPExpert([6]).stages()[0], EnsembleGate(4, k=2), (4,), experts=2)
    network = MoENetwork(Chain([layer]))
    network.add_task(0, [["e0", "e1"]], network.new_head(0, 3))
    assert readers(network) == {(0, "e0"): {0: 0.5}, (0, "e1"): {0: 0.5}}
