"""Paths whose training diverged: no decision builds on them, and none fails."""

from __future__ import annotations

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
from cl_moe.moe.gates.ensemble import EnsembleGate
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
@pytest.mark.parametrize("score", ["ncm", "logme", "ridge", "knn"])
def test_an_average_reads_the_raw_input_alone(value, n, score):
    network, view = network_of(EnsembleGate, value), view_of(n)
    decision = make_growth("reuse_or_grow", {"score": score}).decide(view, network)
    assert decision.kind == "ensemble"
    assert set(decision.head.sources) == {RAW.task}
    apply(network, decision.edits)
    assert bool(network(view.x, 1).isfinite().all())


@pytest.mark.parametrize("weights", ["uniform", "random"])
def test_the_controls_leave_it_out_too(weights):
    network, view = (
        network_of(lambda d: EnsembleGate(d, weights=weights), float("nan")),
        view_of(40),
    )
    decision = make_growth("reuse_or_grow").decide(view, network)
    assert set(decision.head.sources) == {RAW.task}


def test_matched_heads_and_reuse_lose_to_what_is_finite():
    network, view = network_of(TaskGate, float("nan")), view_of(40)
    policy = make_growth("reuse_or_grow", {"kinds": ["matched", "reuse"]})
    decision = policy.decide(view, network)
    assert all(c.loss is None or c.loss == float("inf") for c in decision.evidence.candidates)
