"""Images that are turned or inverted are shown to an earlier path the way it knows them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.continual.events import sentence
from cl_moe.continual.growth.relatedness import Relatedness
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.conv import ConvExpert
from cl_moe.moe.gates.evidence import EvidenceGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Lens

SIDE = 12
SHAPES = [
    [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4)],
    [(0, 2), (1, 2), (2, 2), (3, 2), (4, 2)],
    [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)],
    [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3)],
]


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
    return TaskView(
        task, f"t{task}", x, y, 4, steps, 32, lambda p: torch.optim.Adam(p, lr=1e-2), names={0: "a"}
    )


def take(policy, network, view):
    """Let the policy decide, do as it says, and train what it leaves to train."""
    decision = policy.decide(view, network)
    path = [
        [e if isinstance(e, str) else layer.add(e) for e in experts]
        for layer, experts in zip(network.moe_layers, decision.path, strict=False)
    ]
    network.add_task(view.task, path, decision.head)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-2)
    for _ in range(view.steps * decision.train):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(view.x, view.task), view.y).backward()
        optimizer.step()
    network.requires_grad_(False)
    return decision


def learned(policy):
    (stage,) = cut(ConvExpert([4, 8], feature_dim=16).stages(), 1)
    network = MoENetwork(Chain([MoELayer(stage, EvidenceGate(SIDE * SIDE), (1, SIDE, SIDE))]))
    take(policy, network, view_of(0, *pictures(400, 0)))
    return network


def accuracy(network, task, x, y):
    return (network(x, task).argmax(1) == y).float().mean().item()


def lenses(head):
    return {block.lens for block in head.blocks if block.lens is not None}


@pytest.mark.parametrize("shift", [Lens(1), Lens(2, inverted=1.0), Lens(0, inverted=1.0)], ids=str)
def test_a_shift_is_undone_and_the_task_answered_from_a_handful(shift):
    policy = Relatedness()
    network = learned(policy)
    x, y = pictures(24, 1)
    decision = take(policy, network, view_of(1, shift(x), y))
    assert decision.kind == "average"
    (lens,) = lenses(decision.head)
    assert torch.allclose(lens(shift(x)), x, atol=1e-6)
    assert f"task 0 'a' ({lens})" in sentence(decision, view_of(1, shift(x), y))
    held_x, held_y = pictures(200, 2)
    known = accuracy(network, 0, held_x, held_y)
    assert known > 0.8
    assert accuracy(network, 1, shift(held_x), held_y) > known - 0.1


@pytest.mark.parametrize("shift", [Lens(), Lens(2, inverted=1.0)], ids=str)
@pytest.mark.parametrize("per_class", [1, 2])
def test_with_one_example_a_class_or_two_the_path_that_knows_such_images_is_read(shift, per_class):
    policy = Relatedness()
    network = learned(policy)
    other = torch.rand(200, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    view = view_of(1, other, (other[:, 0, 0, 0] > 0.5).long())
    take(Relatedness(kinds=["fresh"]), network, view)
    policy.ranking.looks.add(1, other)
    x, y = pictures(4 * per_class, 1)
    decision = policy.decide(view_of(2, shift(x), y), network)
    assert set(decision.head.shares) == {0}
    assert RAW in decision.head.blocks
    assert lenses(decision.head) == (set() if shift == Lens() else {shift})
    assert "answers" not in {block.part for block in decision.head.blocks}
    assert decision.steps == 0


def test_a_path_that_is_retrained_knows_the_images_it_was_retrained_on():
    policy = Relatedness(max_experts=1, kinds=["fresh"])
    network = learned(policy)
    x, y = pictures(400, 1)
    decision = take(policy, network, view_of(1, 1 - x, y))
    assert decision.retrain == ((0, "e0"),)
    x, y = pictures(24, 2)
    assert policy.ranking.looks.lenses(1 - x, [0]) == []
    assert policy.ranking.looks.lenses(x, [0])


def test_a_path_that_is_kept_is_known_by_what_it_was_trained_on():
    policy = Relatedness(average_up_to=0, kinds=["reuse"])
    network = learned(policy)
    x, y = pictures(100, 1)
    decision = take(policy, network, view_of(1, 1 - x, y))
    assert decision.kind == "reuse"
    assert policy.ranking.looks.lenses(pictures(24, 2)[0], [0]) == []
    assert policy.ranking.looks.lenses(1 - pictures(24, 2)[0], [0, 1])[0][0] == 0


def test_without_lenses_it_is_not():
    policy = Relatedness(lenses=0)
    network = learned(policy)
    x, y = pictures(24, 1)
    decision = take(policy, network, view_of(1, 1 - x, y))
    assert not lenses(decision.head)


def test_images_as_they_were_are_looked_at_as_they_are():
    policy = Relatedness()
    network = learned(policy)
    decision = take(policy, network, view_of(1, *pictures(24, 1)))
    assert not lenses(decision.head)


def test_what_an_encoder_makes_of_images_is_not_turned():
    policy = Relatedness()
    (stage,) = cut(ConvExpert([4], feature_dim=16).stages(), 1)
    layer = MoELayer(stage, EvidenceGate(SIDE * SIDE), (1, SIDE, SIDE))
    network = MoENetwork(Chain([layer], encoder=nn.Identity()))
    take(policy, network, view_of(0, *pictures(400, 0)))
    x, y = pictures(24, 1)
    assert not lenses(take(policy, network, view_of(1, x.rot90(1, (2, 3)), y)).head)
