"""Candidates before they are tried."""

from __future__ import annotations

import torch

from cl_moe.continual.growth._plan import Plan, make_head
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.evidence import EvidenceGate
from cl_moe.moe.heads import FeatureSet
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import RAW, MoENetwork


def network_of(**options):
    (factory,) = cut(MLPExpert([6]).stages(), 1)
    network = MoENetwork([MoELayer(factory, EvidenceGate(4, **options), (4,), experts=2)])
    for task in range(2):
        network.add_task(task, [[f"e{task}"]], network.new_head(task, 2))
    return network


def test_the_gate_decides_the_weights_of_an_average_and_nothing_else():
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    sets = (RAW, FeatureSet(0), FeatureSet(1))
    plan = Plan("average", (), "evidence", sets=sets, train=False)

    def head_of(weights):
        network = network_of(k=3, weights=weights)
        with torch.no_grad():
            return make_head(plan, network, 2, network.feature_sets(x, sets), y, 2)

    evidence, uniform = head_of("evidence"), head_of("uniform")
    assert evidence.weights[RAW] > 0.5
    assert max(uniform.weights.values()) - min(uniform.weights.values()) < 1e-6
    linears = {key: evidence.linears[i] for i, key in enumerate(evidence.sets)}
    for key, linear in zip(uniform.sets, uniform.linears, strict=True):
        assert key not in linears or torch.equal(linear.weight, linears[key].weight)
    assert head_of("random").sets == head_of("random").sets
