"""Candidate paths: where experts and heads come from, and the decisions made of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.continual.candidates.paths import (
    RIDGE_ROWS,
    CandidatePath,
    copied_path,
    fresh_path,
    retrained_path,
)
from cl_moe.continual.evidence.ridge import fit_ridge
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.heads.cosine import CosineHead
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

ROWS = torch.arange(60)


@pytest.fixture
def view():
    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    return TaskView(5, "t", x, torch.arange(60) % 3, 3, 10, 8, torch.optim.Adam)


@pytest.fixture
def network():
    """One task on a path through two layers."""
    shape, layers = (6,), []
    for depth, factory in enumerate(cut(MLPExpert([10, 8]).stages(), 2)):
        layers.append(MoELayer(factory, TaskGate(1), shape, seed=depth))
        shape = layers[-1].out_shape
    network = MoENetwork(Chain(layers))
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))
    return network.requires_grad_(False)


def test_kept_experts_are_the_sources_own_and_others_are_new_objects(network):
    path = CandidatePath("branch", ("keep", "copy"), source=0)
    low, high = (layer.pool["e0"] for layer in network.moe_layers)
    high[0].weight.add_(1.0)  # as training would
    assert path.kept == 1
    assert path.expert(0, network) is low
    copied = path.expert(1, network)
    assert copied is not high
    assert torch.equal(copied[0].weight, high[0].weight)
    assert not torch.equal(fresh_path(network).expert(1, network)[0].weight, high[0].weight)
    assert (copied_path(0, 0.1, 2).kept, CandidatePath("reuse", ("keep",) * 2, 0).kept) == (0, 2)


def test_a_ridge_head_is_the_closed_form_one_on_the_sources_features(view, network):
    head = copied_path(0, 0.1, 2).head(view, network, ROWS[:40])
    fit = fit_ridge(network.features(view.x[:40], 0)[0], view.y[:40], view.objective)
    assert torch.equal(head.weight, fit.weight)
    assert torch.equal(head.bias, fit.bias)
    fresh = fresh_path(network).head(view, network, ROWS)
    assert torch.equal(fresh.weight, network.new_head(5, 3).weight)


def test_rows_in_order_of_their_classes_teach_a_ridge_head_all_of_them(network):
    n = 2 * RIDGE_ROWS
    x, y = torch.zeros(n, 6), torch.arange(n) // (n // 4)
    x[torch.arange(n), y] = 5.0
    view = TaskView(1, "t", x, y, 4, 1, 1, torch.optim.Adam)
    head = copied_path(0, 0.1, 2).head(view, network, torch.arange(n))
    right = head.on_features()(network.features(x, 0)[0]).argmax(1) == y
    assert right.float().mean() > 0.95


def test_heads_that_cannot_be_fitted_and_features_that_are_not_finite_begin_anew(view, network):
    network.head_kind = CosineHead
    assert isinstance(copied_path(0, 0.1, 2).head(view, network, ROWS), CosineHead)
    network.head_kind = LinearHead
    next(network.moe_layers[0].pool["e0"].parameters()).fill_(float("nan"))
    head = copied_path(0, 0.1, 2).head(view, network, ROWS)
    assert torch.equal(head.weight, network.new_head(5, 3).weight)


def test_a_decision_names_what_is_kept_and_adds_what_is_new(view, network):
    head = network.new_head(5, 3)
    path = CandidatePath("branch", ("keep", "copy"), source=0, gain=0.1)
    decision = path.decision(view, network, head, steps=4)
    ((kept,), (new,)) = decision.path
    assert (decision.kind, kept, decision.retrain, decision.steps) == ("branch", "e0", (), 4)
    assert isinstance(new, nn.Module)
    assert decision.evidence.source == 0
    trained = nn.Linear(2, 2)
    ((kept,), (new,)) = path.decision(view, network, head, [trained]).path
    assert (kept, new) == ("e0", trained)
    waits = [layer.add(layer.make("w")) for layer in network.moe_layers]
    taken = fresh_path(network).decision(view, network, head).path
    assert taken == tuple((id_,) for id_ in waits)


def test_where_some_slots_are_full_the_others_are_copied(view, network):
    path = retrained_path(0, 0.1, [1], 2)
    assert (path.starts, path.retrained) == (("copy", "retrain"), [1])
    decision = path.decision(view, network, network.new_head(5, 3))
    assert decision.retrain == ((1, "e0"),)
    assert isinstance(decision.path[0][0], nn.Module)
    assert decision.path[1] == ("e0",)
    assert path.expert(1, network) is not network.moe_layers[1].pool["e0"]
