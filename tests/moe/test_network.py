from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.evidence import EvidenceGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.heads import EvidenceHead, FeatureSet
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import RAW, MoENetwork
from cl_moe.moe.ridge import fit_ridge


def network_of(layers=2, gate=TaskGate, experts=2):
    shape, made = (4,), []
    for depth, factory in enumerate(cut(MLPExpert([8, 6]).stages(), layers)):
        made.append(MoELayer(factory, gate(shape[0]), shape, experts=experts, seed=depth))
        shape = made[-1].out_shape
    return MoENetwork(made)


def test_a_task_runs_through_its_path():
    network = network_of()
    network.add_task(0, [["e1"], ["e0"]], head := network.new_head(0, 3))
    x = torch.randn(5, 4)
    low, high = network.moe_layers
    assert torch.equal(network(x, 0), head(high.pool["e0"](low.pool["e1"](x))))
    assert network.path(0) == (("e1",), ("e0",))


def test_usage_says_which_experts_a_task_uses():
    network = network_of()
    network.add_task(0, [["e1"], ["e0"]], network.new_head(0, 3))
    assert network.usage(torch.randn(5, 4), 0) == [{"e1": 1.0}, {"e0": 1.0}]


def test_an_evidence_head_averages_the_answers_on_earlier_paths():
    network = network_of(gate=EvidenceGate)
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))
    x, y = torch.randn(30, 4), torch.arange(30) % 2
    sets = [RAW, FeatureSet(0), FeatureSet(0, "both")]
    with torch.no_grad():
        values = network.feature_sets(x, sets)
    answers = {key: fit_ridge(values[key], y, 2) for key in sets}
    weights = torch.tensor([0.5, 0.3, 0.2])
    network.add_task(1, [], EvidenceHead(answers, weights))
    expected = sum(
        w * (values[key] @ answers[key].weight.T + answers[key].bias).softmax(1)
        for w, key in zip(weights, sets, strict=True)
    )
    assert torch.allclose(network(x, 1).exp(), expected, atol=1e-5)
    (low, high) = network.usage(x, 1)
    assert low == pytest.approx({"e0": 0.5})
    assert high == pytest.approx({"e0": 0.5})
    assert not network.owns_path(1)


def test_answers_of_negligible_weight_are_left_out():
    answer = fit_ridge(torch.randn(9, 2), torch.arange(9) % 3, 3)
    head = EvidenceHead({RAW: answer, FeatureSet(0): answer}, torch.tensor([1.0, 1e-6]))
    assert head.sets == [RAW]


def test_one_task_is_taken_in_once():
    network = network_of()
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))
    with pytest.raises(AssertionError, match="known already"):
        network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))


def test_an_encoder_comes_before_everything():
    network = network_of()
    network.encoder = nn.Linear(3, 4)
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 2))
    assert network(torch.randn(5, 3), 0).shape == (5, 2)
