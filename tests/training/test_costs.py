"""Costs, against numbers computed by hand."""

from __future__ import annotations

import pytest
import torch

from cl_moe.training.costs import cost

# a trunk 6 -> 8 -> 5, and heads 5 -> 2, 3, 2
TRUNK, HEADS = 6 * 8 + 8 + 8 * 5 + 5, (12, 18, 12)
FLOPS = 2 * (6 * 8 + 8 * 5 + 5 * 2)


def test_dense(context, learn):
    found = cost(learn(context, "dense").strategy, 2, context.stream.shape)
    assert found == {
        "parameters": TRUNK + sum(HEADS),
        "active_parameters": TRUNK + HEADS[2],
        "flops_predict": FLOPS,
        "experts": None,
    }


def test_alone_holds_a_network_a_task_and_uses_one(context, learn):
    found = cost(learn(context, "single_task").strategy, 2, context.stream.shape)
    assert found == {
        "parameters": 3 * TRUNK + sum(HEADS),
        "active_parameters": TRUNK + HEADS[2],
        "flops_predict": FLOPS,
        "experts": 3,
    }


@pytest.mark.parametrize("name", ["ridge", "nearest_mean"])
def test_a_computed_classifier_is_its_head(name, context, learn):
    found = cost(learn(context, name).strategy, 1, context.stream.shape)
    assert found == {
        "parameters": 7 * (2 + 3 + 2),
        "active_parameters": 7 * 3,
        "flops_predict": 2 * 6 * 3,
        "experts": None,
    }


def test_progressive_runs_earlier_columns_but_not_later_ones(context, learn):
    strategy = learn(context, "progressive").strategy
    first, last = (cost(strategy, task, context.stream.shape) for task in (0, 2))
    assert first["active_parameters"] == TRUNK + HEADS[0]
    assert first["flops_predict"] == FLOPS
    assert last["active_parameters"] == last["parameters"] - HEADS[0] - HEADS[1]


def test_packnet_counts_the_weights_that_a_task_sees(context, learn):
    strategy = learn(context, "packnet").strategy
    first, last = (cost(strategy, task, context.stream.shape) for task in (0, 2))
    # equal shares for three tasks and the probe: a quarter of 48 and 40 weights, and all biases
    assert first["active_parameters"] == 12 + 10 + 13 + HEADS[0]
    assert last["active_parameters"] == 36 + 30 + 13 + HEADS[2]


def test_a_mixture_uses_the_experts_of_the_task_alone(context, learn):
    strategy = learn(context, "moe", growth="per_task").strategy
    found = cost(strategy, 2, context.stream.shape)
    assert found["experts"] == 3
    assert found["parameters"] >= 3 * TRUNK + sum(HEADS)
    gate = found["active_parameters"] - TRUNK - HEADS[2]
    assert 0 <= gate < TRUNK / 4


def test_dense_wide_has_the_parameters_of_one_expert_a_task(context, learn):
    found = cost(learn(context, "dense_wide").strategy, 2, context.stream.shape)
    assert found["parameters"] == pytest.approx(3 * TRUNK + sum(HEADS), rel=0.05)
    ten = cost(learn(context, "dense_wide", experts=10).strategy, 2, context.stream.shape)
    assert ten["parameters"] == pytest.approx(10 * TRUNK + sum(HEADS), rel=0.05)


def test_nothing_moves(context, learn):
    strategy = learn(context, "progressive").strategy
    before = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    modes, random_state = [m.training for m in strategy.model.modules()], torch.get_rng_state()
    cost(strategy, 1, context.stream.shape)
    after = strategy.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert modes == [m.training for m in strategy.model.modules()]
    assert torch.equal(random_state, torch.get_rng_state())
