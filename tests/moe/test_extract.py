"""What a layer does to the rows of one task, with nothing left to route."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.extract import RoutedExperts, WeightedSum, experts_for, frozen_copy
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.gates.masked import MaskedGate
from cl_moe.moe.gates.multi_gate import MultiGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.gates.task_conditioned import TaskConditionedGate
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

GATES = [TaskGate, EnsembleGate, TokenGate, MaskedGate, MultiGate, TaskConditionedGate]
X = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))


def network_of(gate, shared=False, k=2):
    """Three tasks on one layer, whose gate is uneven."""
    stage = MLPExpert([5]).stages()[0]
    layer = MoELayer(stage, gate(6, k=k), (6,), experts=3, shared=shared)
    network = MoENetwork(Chain([layer]))
    for task, path in enumerate((["e0", "e1", "e2"], ["e2"], ["e1", "e0"])):
        network.add_task(task, [path], network.new_head(task, 3))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.gate.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
    return network.eval(), layer


def size(*parts):
    return sum(p.numel() for part in parts for p in part.parameters())


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("k", [1, 2])
def test_it_gives_what_the_layer_gives(gate, shared, k):
    _, layer = network_of(gate, shared, k)
    for task in range(3):
        with layer.context.of(task):
            expected = layer(X)
        assert torch.allclose(experts_for(layer, task)(X), expected, rtol=0, atol=1e-6)


def test_one_expert_is_that_expert_itself():
    _, layer = network_of(TaskGate)
    assert experts_for(layer, 1) is layer.pool["e2"]


def test_a_gate_that_reads_rows_comes_along_and_a_fixed_choice_is_a_sum():
    for gate, kind in ((MaskedGate, RoutedExperts), (TaskGate, WeightedSum)):
        _, layer = network_of(gate)
        assert type(experts_for(layer, 0)) is kind


@pytest.mark.parametrize("shared", [False, True])
def test_of_experts_with_fixed_weights_the_chosen_ones_are_held(shared):
    network, layer = network_of(TaskGate, shared)
    held = [layer.pool["e0"]] * (3 if shared else 2)  # all experts are of one size
    assert size(network.for_task(0)) == size(network.heads["0"], *held)


@pytest.mark.parametrize(
    ("gate", "of_gate"),
    [
        (TokenGate, 3 * 7),  # every expert may be chosen, by 6 weights and a bias
        (MaskedGate, 2 * 7),
        (MultiGate, 2 * 7),
        (TaskConditionedGate, 2 * (7 + 16) + 16 + (16 * 16 + 16) + 2 * 16),
    ],
)
def test_of_a_gate_that_reads_rows_the_tasks_part_is_held(gate, of_gate):
    network, layer = network_of(gate)
    held = [layer.pool[id_] for id_ in layer.offered(2)]
    assert size(network.for_task(2)) == size(network.heads["2"], *held) + of_gate


def test_a_gate_of_ones_own_is_held_as_a_whole():
    class Mine(TokenGate):
        def __init__(self, in_features, k):
            super().__init__(in_features, k)
            self.scale = nn.Parameter(torch.tensor(3.0))

        def depends_on(self, task, experts):
            return [*self.parameters()]

        def logits(self, x_BD, task, experts):
            return self.scale * super().logits(x_BD, task, experts)

    network, _ = network_of(Mine)
    answer = network.for_task(2)
    assert torch.allclose(answer(X), network(X, 2), rtol=0, atol=1e-6)
    assert size(answer) == size(network) - size(*(network.heads[str(task)] for task in (0, 1)))


def test_a_copy_shares_within_itself_what_was_shared_and_nothing_with_what_was_copied():
    one = nn.Linear(2, 2)
    copied = frozen_copy(nn.Sequential(one, nn.Dropout(), one))
    assert copied[0] is copied[2]
    assert copied[0].weight is not one.weight
    assert one.weight.requires_grad
    assert not any(p.requires_grad for p in copied.parameters())
    assert not any(module.training for module in copied.modules())
