"""Experts run as one product answer as they do one by one, and nothing is asked of the device."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.moe.dispatch.grouped import grouped
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.conv import ConvExpert
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.multi_gate import MultiGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.routing import Routing

(TRUNK,) = cut(MLPExpert([16, 24]).stages(), 1)


def layer_of(gate, dispatch, k=2, experts=4):
    layer = MoELayer(TRUNK, gate(8, k=k), (2, 2, 2), experts=experts, dispatch=dispatch)
    layer.assign(0, layer.pool.ids)
    return layer


def run(layer, x):
    """What a layer gives rows of task 0, and what its gate has chosen."""
    with layer.context.of(0) as context:
        return layer(x), context.routings[layer.name]


def gradients(layer, x):
    y = run(layer, x)[0]
    y.sum().backward()  # an expanded gradient: not contiguous
    return [y, x.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("gate", [TokenGate, MultiGate, TaskGate])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_answers_and_gradients_are_those_of_sorted_rows(gate, k):
    found = []
    for dispatch in ("sorted", "grouped"):
        x = torch.randn(19, 2, 2, 2, generator=torch.Generator().manual_seed(0))
        found.append(gradients(layer_of(gate, dispatch, k), x.requires_grad_()))
    for ours, theirs in zip(*reversed(found), strict=True):
        torch.testing.assert_close(ours, torch.zeros_like(ours) if theirs is None else theirs)


def test_experts_without_rows_and_without_bias_are_no_trouble():
    experts = [nn.Linear(8, 8, bias=False) for _ in range(5)]
    x, chosen = torch.randn(6, 8), torch.tensor([[3], [1], [3], [3], [1], [3]])
    y = grouped(x, Routing(torch.full((6, 1), 0.5), chosen), experts)
    expected = [0.5 * experts[int(e)](row) for e, row in zip(chosen, x, strict=True)]
    torch.testing.assert_close(y, torch.stack(expected))


def test_frozen_experts_stay_as_they_are():
    layer = layer_of(TokenGate, "grouped")
    for id_ in ("e0", "e1", "e2"):
        layer.pool.freeze(id_)
    before = {name: p.clone() for name, p in layer.pool.named_parameters()}
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    run(layer, torch.randn(9, 2, 2, 2))[0].sum().backward()
    optimizer.step()
    moved = {n.split(".")[1] for n, p in layer.pool.named_parameters() if (p != before[n]).any()}
    assert moved == {"e3"}


@pytest.mark.parametrize(("gate", "k"), [(TokenGate, 2), (MultiGate, 1), (TaskGate, 2)])
def test_a_training_step_reads_nothing_back_from_the_device(gate, k):
    """On a device without memory, in bfloat16 as on a GPU, whatever is read back is an error."""

    def step(dispatch):
        layer = layer_of(gate, dispatch, k).to("meta")
        layer.gate.balance, layer.gate.z = 0.1, 0.1
        y, routing = run(layer, torch.empty(9, 2, 2, 2, device="meta"))
        torch.stack([y.square().sum(), *routing.losses.values()]).sum().backward()
        torch.optim.SGD(layer.parameters(), lr=0.1).step()
        return y

    y = step("grouped")
    assert (y.shape, y.dtype) == ((9, 24), torch.float32)
    with pytest.raises((NotImplementedError, RuntimeError), match=r"(?i)meta"):
        step("sorted")


def test_what_cannot_be_grouped_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"'grouped' takes experts of Linear.* not ResidualBlock"):
        MoELayer(ConvExpert([3]).stages()[0], TaskGate(64), (1, 8, 8), dispatch="grouped")
    with pytest.raises(ValueError, match=r"multiples of 8, not Linear\(in_features=8, out_f.*=6"):
        MoELayer(MLPExpert([6]).stages()[0], TaskGate(8), (8,), dispatch="grouped")
    layer = layer_of(TaskGate, "grouped")
    with pytest.raises(ValueError, match="takes experts that are alike"):
        layer.add(nn.Linear(8, 24))
    assert len(layer.pool) == 4
