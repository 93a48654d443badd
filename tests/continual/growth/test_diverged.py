"""Paths whose training diverged: no decision builds on them, and none fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from cl_moe.continual.growth.base import make_growth
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW
from cl_moe.moe.edits import apply
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork


def network_of(gate: type, value: float) -> MoENetwork:
    """Return a network whose task 0 has an expert of numbers that are not finite."""
    (stage,) = cut(MLPExpert([6]).stages(), 1)
    network = MoENetwork(Chain([MoELayer(stage, gate(4), (4,))]))
    network.add_task(0, [["e0"]], network.new_head(0, n_outputs=2))
    for parameter in network.moe_layers[0].pool["e0"].parameters():
        nn.init.constant_(parameter, value)
    network.moe_layers[0].pool.freeze("e0")
    return network.eval()


def view_of(n: int) -> TaskView:
    draw, y = torch.Generator().manual_seed(0), torch.arange(n) % 2
    x = torch.randn(n, 4, generator=draw) + 2.0 * y[:, None]
    return TaskView(1, "new", x, y, 2, 20, 16, lambda *_, **__: None)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("n", [2, 8, 40])
def test_an_ensemble_reads_the_raw_input_alone(value, n):
    network, view = network_of(TaskGate, value), view_of(n)
    decision = make_growth("reuse_or_grow").decide(view, network)
    assert decision.kind == "ensemble"
    assert set(decision.head.sources) == {RAW.task}
    apply(network, decision.edits)
    assert bool(network(view.x, 1).isfinite().all())


@pytest.mark.parametrize("weights", ["uniform", "random"])
def test_the_controls_leave_it_out_too(weights):
    network, view = network_of(TaskGate, float("nan")), view_of(40)
    decision = make_growth("reuse_or_grow", {"weights": weights}).decide(view, network)
    assert set(decision.head.sources) == {RAW.task}


def sgd(parts: dict[str, nn.Module]) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for part in parts.values() for p in part.parameters()], lr=0.1)


def test_if_every_candidate_of_mntdp_diverges_the_experts_are_fresh():
    view = view_of(40)
    view = replace(view, x=view.x.fill_(float("nan")), make_optimizer=sgd)
    decision = make_growth("mntdp").decide(view, network_of(TaskGate, 0.1))
    assert [candidate.kind for candidate in decision.evidence.candidates] == ["reuse", "fresh"]
    assert (decision.kind, decision.evidence.source) == ("fresh", None)


def test_mntdp_builds_on_the_path_that_did_not_diverge():
    network, view = network_of(TaskGate, float("nan")), replace(view_of(40), make_optimizer=sgd)
    apply(network, make_growth("per_task").decide(view, network).edits)
    decision = make_growth("mntdp").decide(replace(view, task=2), network)
    assert {candidate.source for candidate in decision.evidence.candidates} == {1, None}
