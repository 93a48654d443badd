"""MNTDP's rule: which path, which prefix, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cl_moe.continual.growth.mntdp import MNTDP
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.edits import apply, set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork


def adam(parts):
    return torch.optim.Adam([p for part in parts.values() for p in part.parameters()], lr=1e-2)


def xor(n, seed, shift=0):
    """A task that no linear map solves: whether two inputs have the same sign."""
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, shift] * x[:, shift + 1] > 0).long()


def view_of(task, x, y, steps=150):
    classes = max(2, int(y.max()) + 1)
    return TaskView(task, f"t{task}", x, y, classes, steps, 32, adam)


def learn(network, view, decision):
    apply(network, decision.edits)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(view.x, view.task), view.y).backward()
        optimizer.step()
    set_trainable(network, set())


@pytest.fixture(scope="module")
def trained():
    """Two tasks on different inputs, each with a path of its own, through two layers."""
    shape, layers = (6,), []
    for depth, factory in enumerate(cut(MLPExpert([24, 12]).stages(), 2)):
        layers.append(MoELayer(factory, TaskGate(24), shape, seed=depth))
        shape = layers[-1].out_shape
    network = MoENetwork(Chain(layers))
    for task, shift in enumerate((0, 3)):
        view = view_of(task, *xor(400, task, shift))
        learn(network, view, MNTDP().decide(view, network) if task == 0 else _fresh(view, network))
        assert (network(view.x, task).argmax(1) == view.y).float().mean() > 0.9
    assert network.path(0) == (("e0",), ("e0",))
    assert network.path(1) == (("e1",), ("e1",))
    return network


def _fresh(view, network):
    from cl_moe.continual.growth.per_task import PerTask

    return PerTask().decide(view, network)


def test_the_first_task_takes_the_experts_that_wait_and_nothing_is_tried():
    (factory,) = cut(MLPExpert([4]).stages(), 1)
    network = MoENetwork(Chain([MoELayer(factory, TaskGate(6), (6,))]))
    decision = MNTDP().decide(view_of(0, *xor(20, 0)), network)
    assert (decision.path, decision.evidence.candidates, decision.steps) == ((("e0",),), (), 0)


@pytest.mark.parametrize(("shift", "source"), [(0, 0), (3, 1)])
def test_builds_on_the_path_whose_features_neighbours_agree_on(trained, shift, source):
    x, y = xor(60, 7, shift)
    decision = MNTDP().decide(view_of(2, x, 1 - y), trained)
    assert (decision.kind, decision.evidence.source) == ("reuse", source)
    assert decision.path == ((f"e{source}",), (f"e{source}",))
    assert decision.train


def test_every_prefix_is_tried_with_the_whole_budget(trained):
    decision = MNTDP().decide(view_of(2, *xor(60, 7), steps=7), trained)
    assert [c.kind for c in decision.evidence.candidates] == ["reuse", "branch", "fresh"]
    assert [c.source for c in decision.evidence.candidates] == [0, 0, None]
    assert all(c.accuracy is not None for c in decision.evidence.candidates)
    assert decision.steps == 3 * 7


def test_an_unrelated_task_grows_and_begins_where_its_trial_began(trained):
    view = view_of(2, *xor(400, 8, shift=1), steps=300)
    decision = MNTDP().decide(view, trained)
    assert decision.kind in {"fresh", "branch"}
    grown = decision.path[-1][0]
    assert isinstance(grown, nn.Module)
    untrained = trained.moe_layers[-1].make_next()
    assert all(
        torch.equal(a, b) for a, b in zip(grown.parameters(), untrained.parameters(), strict=True)
    )


def test_on_a_tie_the_one_that_shares_more_wins(trained):
    x, y = xor(40, 9)
    decision = MNTDP().decide(view_of(2, x, torch.zeros_like(y), steps=60), trained)
    assert {c.accuracy for c in decision.evidence.candidates} == {1.0}
    assert decision.kind == "reuse"


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(0.05, 0.95))
def test_no_class_loses_its_last_row_and_none_keeps_all(labels, fraction):
    y = torch.tensor(labels)
    view = view_of(0, torch.zeros(len(y), 1), y)
    fit, held = MNTDP(validation_fraction=fraction)._split(view)
    counts = y.bincount()
    if counts.max() == 1:
        assert sorted(fit.tolist()) == sorted(held.tolist()) == list(range(len(y)))
        return
    assert sorted(torch.cat([fit, held]).tolist()) == list(range(len(y)))
    left = y[fit].bincount(minlength=len(counts))
    assert ((left > 0) == (counts > 0)).all()
    assert ((left < counts) == (counts > 1)).all()


def test_one_example_a_class_can_be_learned(trained):
    x, y = xor(60, 7)
    rows = torch.stack([(y == c).nonzero()[0, 0] for c in (0, 1)])
    decision = MNTDP().decide(view_of(2, x[rows], y[rows], steps=20), trained)
    assert decision.kind == "reuse"


def test_another_seed_holds_out_other_rows():
    view = view_of(0, *xor(50, 0))
    one, two = (MNTDP()._split(replace(view, seed=seed))[1] for seed in (0, 1))
    assert set(one.tolist()) != set(two.tolist())


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="neighbours: 0"):
        MNTDP(neighbours=0)
    with pytest.raises(ValueError, match="validation_fraction"):
        MNTDP(validation_fraction=1.0)
