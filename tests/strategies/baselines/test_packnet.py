"""PackNet: weights belong to one task, what is given away never moves again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.strategies.baselines.packed import PackedNetwork


def network(tasks: int = 0) -> PackedNetwork:
    packed = PackedNetwork(*cut(MLPExpert([10, 10]).stages(), 1), in_shape=(4,))
    for task in range(tasks):
        packed.add_task(task, 2)
        with torch.no_grad():
            for weight, mask in packed.trainable():
                weight += mask * torch.randn(weight.shape)
        packed.pack(0.5)
    return packed


def test_the_largest_free_weights_are_kept_and_the_others_are_zero():
    packed = network()
    packed.add_task(0, 2)
    before = [weight.detach().clone() for weight, _ in packed.trainable()]
    packed.pack(0.25)
    for (weight, mine), old in zip(packed.trainable(), before, strict=True):
        assert int(mine.sum()) == round(0.25 * old.numel())
        assert old[mine].abs().min() >= old[~mine].abs().max()
        assert torch.equal(weight[mine], old[mine])
        assert not weight[~mine].any()


def test_no_weight_has_two_owners_and_shares_are_of_what_is_free():
    packed = network(3)
    sizes = [[int((owner == k).sum()) for k in range(4)] for _, owner in packed._weights()]
    assert sizes == [[5, 20, 10, 5], [12, 50, 25, 13]] or sizes == [
        [5, 20, 10, 5],
        [13, 50, 25, 12],
    ]


@pytest.mark.parametrize("later", [1, 2])
def test_old_answers_do_not_depend_on_later_weights(later):
    packed, x = network(3), torch.randn(5, 4)
    answer = packed(x, 0)
    with torch.no_grad():
        for weight, owner in packed._weights():
            weight[(owner == 0) | (owner > later)] = 7.0
    assert torch.equal(packed(x, 0), answer)


def test_biases_learn_with_the_first_task_alone():
    packed = network()
    packed.add_task(0, 2)
    assert all(p.requires_grad for p in packed.trunk.parameters())
    packed.pack(0.5)
    packed.add_task(1, 2)
    assert {p.ndim for p in packed.trunk.parameters() if p.requires_grad} == {2}


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adamw"])
def test_old_tasks_answer_bit_for_bit_as_before(optimizer, context, learn):
    """Momentum and weight decay move weights that have no gradient: not these."""
    training = context.training.model_copy(
        update={"optimizer": optimizer, "momentum": 0.9, "weight_decay": 0.1}
    )
    context = replace(context, training=training)
    x = context.stream[0].tensors("test")[0]
    answers = []
    for tasks in (1, 2, 3):
        strategy = learn(context, "packnet", tasks=tasks).strategy
        answers.append(strategy.model.eval()(x, 0).detach())
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


@pytest.mark.parametrize("retrain", [0.0, 0.5])
def test_packing_takes_no_extra_steps(retrain, context, learn):
    packed = learn(context, "packnet", retrain=retrain).strategy
    dense = learn(context, "dense").strategy
    assert packed.clock.train_iterations == dense.clock.train_iterations
    assert packed.model.network.packed


def test_equal_shares_leave_room_for_every_task_and_the_probe(context, learn):
    strategy = learn(context, "packnet").strategy
    for _, owner in strategy.model.network._weights():
        shares = [int((owner == k).sum()) / owner.numel() for k in range(4)]
        assert shares == pytest.approx([0.25] * 4, abs=0.03)
