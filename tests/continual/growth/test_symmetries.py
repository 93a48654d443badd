"""Images that are turned or inverted are shown to an earlier path the way it knows them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.continual.events import sentence
from cl_moe.continual.growth.reuse_or_grow import ReuseOrGrow
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW
from cl_moe.moe.edits import apply, set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.conv import ConvExpert
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry

SIDE = 12
SHAPES = [
    [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4)],
    [(0, 2), (1, 2), (2, 2), (3, 2), (4, 2)],
    [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)],
    [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3)],
]


def adam(parts):
    return torch.optim.Adam([p for part in parts.values() for p in part.parameters()], lr=1e-2)


def pictures(n, seed):
    """Four shapes anywhere below a ceiling and beside a wall, which tell what is up and left."""
    draw = torch.Generator().manual_seed(seed)
    x, y = 0.3 * torch.rand(n, 1, SIDE, SIDE, generator=draw), torch.arange(n) % 4
    x[:, :, :2] += 0.2
    x[:, :, :6, 0] += 0.4
    for i, label in enumerate(y.tolist()):
        top, left = (2 + torch.randint(5, (2,), generator=draw)).tolist()
        for row, column in SHAPES[label]:
            x[i, 0, top + row, left + column] += 0.6
    return x, y


def view_of(task, x, y, steps=120):
    return TaskView(task, f"t{task}", x, y, 4, steps, 32, adam, names={0: "a"})


def take(policy, network, view):
    """Let the policy decide, do as it says, and train what it leaves to train."""
    decision = policy.decide(view, network)
    apply(network, decision.edits)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-2)
    for _ in range(view.steps * decision.train):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(view.x, view.task), view.y).backward()
        optimizer.step()
    set_trainable(network, set())
    policy.learned(view, network, decision)
    return decision


def learned(policy):
    (stage,) = cut(ConvExpert([4, 8], feature_dim=16).stages(), 1)
    network = MoENetwork(Chain([MoELayer(stage, EnsembleGate(SIDE * SIDE), (1, SIDE, SIDE))]))
    take(policy, network, view_of(0, *pictures(400, 0)))
    return network


def accuracy(network, task, x, y):
    return (network(x, task).argmax(1) == y).float().mean().item()


def symmetries(head):
    return {block.symmetry for block in head.blocks if block.symmetry is not None}


@pytest.mark.parametrize(
    "shift", [Symmetry(1), Symmetry(2, inverted=1.0), Symmetry(0, inverted=1.0)], ids=str
)
def test_a_shift_is_undone_and_the_task_answered_from_a_handful(shift):
    policy = ReuseOrGrow()
    network = learned(policy)
    x, y = pictures(24, 1)
    decision = take(policy, network, view_of(1, shift(x), y))
    assert decision.kind == "ensemble"
    (symmetry,) = symmetries(decision.head)
    assert torch.allclose(symmetry(shift(x)), x, atol=1e-6)
    assert f"task 0 'a' ({symmetry})" in sentence(decision, view_of(1, shift(x), y))
    held_x, held_y = pictures(200, 2)
    known = accuracy(network, 0, held_x, held_y)
    assert known > 0.8
    assert accuracy(network, 1, shift(held_x), held_y) > known - 0.1


@pytest.mark.parametrize("shift", [Symmetry(), Symmetry(2, inverted=1.0)], ids=str)
@pytest.mark.parametrize("per_class", [1, 2])
def test_with_one_example_a_class_or_two_the_path_that_knows_such_images_is_read(shift, per_class):
    policy = ReuseOrGrow()
    network = learned(policy)
    other = torch.rand(200, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    view = view_of(1, other, (other[:, 0, 0, 0] > 0.5).long())
    take(ReuseOrGrow(kinds=["fresh"]), network, view)
    policy.ranking.alignment.add(1, other)
    x, y = pictures(4 * per_class, 1)
    decision = policy.decide(view_of(2, shift(x), y), network)
    assert set(decision.head.shares) == {0}
    assert RAW in decision.head.blocks
    assert symmetries(decision.head) == (set() if shift == Symmetry() else {shift})
    assert "predictions" not in {block.part for block in decision.head.blocks}
    assert decision.steps == 0


def test_a_path_that_is_retrained_knows_the_images_it_was_retrained_on():
    policy = ReuseOrGrow(max_experts=1, kinds=["fresh"])
    network = learned(policy)
    x, y = pictures(400, 1)
    decision = take(policy, network, view_of(1, 1 - x, y))
    assert decision.retrain == ((0, "e0"),)
    x, y = pictures(24, 2)
    assert policy.ranking.alignment.symmetries(1 - x, [0]) == []
    assert policy.ranking.alignment.symmetries(x, [0])


def test_a_path_that_is_kept_is_known_by_what_it_was_trained_on():
    policy = ReuseOrGrow(ensemble_up_to=0, kinds=["reuse"])
    network = learned(policy)
    x, y = pictures(100, 1)
    decision = take(policy, network, view_of(1, 1 - x, y))
    assert decision.kind == "reuse"
    assert policy.ranking.alignment.symmetries(pictures(24, 2)[0], [0]) == []
    assert policy.ranking.alignment.symmetries(1 - pictures(24, 2)[0], [0, 1])[0][0] == 0


def test_without_symmetries_it_is_not():
    policy = ReuseOrGrow(symmetries=0)
    network = learned(policy)
    x, y = pictures(24, 1)
    decision = take(policy, network, view_of(1, 1 - x, y))
    assert not symmetries(decision.head)


def test_images_as_they_were_are_looked_at_as_they_are():
    policy = ReuseOrGrow()
    network = learned(policy)
    decision = take(policy, network, view_of(1, *pictures(24, 1)))
    assert not symmetries(decision.head)


def test_what_an_encoder_makes_of_images_is_not_turned():
    policy = ReuseOrGrow()
    (stage,) = cut(ConvExpert([4], feature_dim=16).stages(), 1)
    layer = MoELayer(stage, EnsembleGate(SIDE * SIDE), (1, SIDE, SIDE))
    network = MoENetwork(Chain([layer], encoder=nn.Identity()))
    take(policy, network, view_of(0, *pictures(400, 0)))
    x, y = pictures(24, 1)
    assert not symmetries(take(policy, network, view_of(1, x.rot90(1, (2, 3)), y)).head)
