"""Candidates before they are tried."""

from __future__ import annotations

import torch

from cl_moe.continual.growth._plan import Plan, distinct_paths, fresh_plan, make_head, module_of
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


def test_a_path_is_stood_for_by_the_first_task_that_learned_it():
    network = network_of()
    network.add_task(2, [["e0"]], network.new_head(2, 2))
    assert distinct_paths(network) == [0, 1]


def test_a_fresh_start_takes_the_expert_that_waits():
    (factory,) = cut(MLPExpert([6]).stages(), 1)
    layer = MoELayer(factory, EvidenceGate(4), (4,))
    network, waiting = MoENetwork([layer]), layer.pool["e0"]
    plan = fresh_plan(network)
    assert plan.waiting == ("e0",)
    begun = module_of(plan, 0, network)
    assert begun is not waiting
    assert torch.equal(begun[0].weight, waiting[0].weight)
    network.add_task(0, [["e0"]], network.new_head(0, 2))
    assert fresh_plan(network).waiting == (None,)
