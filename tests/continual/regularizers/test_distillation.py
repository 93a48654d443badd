from __future__ import annotations

import pytest
import torch

from cl_moe.continual.regularizers.distillation import Distillation
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.multilabel import Multilabel
from cl_moe.objectives.regression import Regression


def network():
    layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,), experts=2)
    made = MoENetwork(Chain([layer]))
    made.add_task(0, [["e0"]], made.new_head(0, 3))
    return made


def test_the_penalty_is_zero_until_the_expert_moves():
    torch.manual_seed(0)
    made, x = network(), torch.randn(16, 4)
    memory = Distillation(made, [0], [(0, "e0")])
    assert memory.penalty(made, x).abs() < 1e-6
    assert memory.agreement(made, x) == {0: 1.0}
    with torch.no_grad():
        made.moe_layers[0].pool["e0"][0].weight.add_(torch.randn(8, 4))
    assert memory.penalty(made, x) > 1e-3


def test_it_is_hintons_divergence_with_both_sides_softened():
    torch.manual_seed(0)
    made, x = network(), torch.randn(16, 4)
    memory = Distillation(made, [0], [(0, "e0")], strength=3.0, temperature=2.0)
    before = (made(x, 0) / 2).softmax(1).detach()
    with torch.no_grad():
        made.moe_layers[0].pool["e0"][0].weight.add_(torch.randn(8, 4))
    after = (made(x, 0) / 2).softmax(1)
    divergence = (before * (before / after).log()).sum(1).mean()
    torch.testing.assert_close(memory.penalty(made, x), 3 * 4 * divergence)


def test_only_the_retrained_expert_is_copied():
    made = network()
    memory = Distillation(made, [0], [(0, "e0")])
    pools = [n.moe_layers[0].pool for n in (made, memory.teacher)]
    assert pools[0]["e0"] is not pools[1]["e0"]
    assert pools[0]["e1"] is pools[1]["e1"]
    assert made.heads["0"] is memory.teacher.heads["0"]


def test_its_gradient_pulls_the_expert_back():
    torch.manual_seed(0)
    made, x = network(), torch.randn(64, 4)
    memory = Distillation(made, [0], [(0, "e0")], strength=1.0)
    weight = made.moe_layers[0].pool["e0"][0].weight
    with torch.no_grad():
        weight.add_(torch.randn(8, 4))
    start = memory.penalty(made, x).item()
    optimizer = torch.optim.SGD([weight], lr=1.0)
    for _ in range(200):
        optimizer.zero_grad()
        memory.penalty(made, x).backward()
        optimizer.step()
    assert memory.penalty(made, x).item() < start / 4


def test_the_teacher_answers_as_it_did_whatever_mode_the_network_is_in():
    torch.manual_seed(0)
    made, x = network(), torch.randn(16, 4)
    expert = made.moe_layers[0].pool["e0"]
    expert.append(torch.nn.BatchNorm1d(8)).append(torch.nn.Dropout(0.5))
    answer = made.eval()(x, 0).detach()
    memory = Distillation(made.train(), [0], [(0, "e0")])
    for _ in range(3):
        made.train()
        memory.penalty(made, x + 5.0)
    assert torch.equal(memory.teacher(x, 0), answer)
    assert expert.training


@pytest.mark.parametrize("objective", [Regression(3), Multilabel(3)])
def test_answers_without_classes_are_kept_by_their_own_loss(objective):
    torch.manual_seed(0)
    made, x = network(), torch.randn(16, 4)
    memory = Distillation(made, [0], [(0, "e0")], strength=3.0, objectives={0: objective})
    before = made(x, 0).detach()
    target = before if isinstance(objective, Regression) else before.sigmoid()
    assert memory.agreement(made, x) == {0: pytest.approx(1.0)}
    with torch.no_grad():
        made.moe_layers[0].pool["e0"][0].weight.add_(torch.randn(8, 4))
    expected = 3 * objective.loss(made(x, 0), target)
    torch.testing.assert_close(memory.penalty(made, x), expected)
    assert memory.agreement(made, x)[0] < 0.95
