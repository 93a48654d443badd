from __future__ import annotations

import pytest
import torch

from cl_moe.moe.experts.conv import ConvExpert
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.masked import MaskedGate
from cl_moe.moe.gates.multi_gate import MultiGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.gates.task_conditioned import TaskConditionedGate
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.layer import MoELayer

GATES = [TokenGate, MaskedGate, MultiGate, TaskConditionedGate, TaskGate]


def run(layer, x, task):
    """What a layer gives rows of a task, and what its gate has chosen."""
    with layer.context.of(task) as context:
        return layer(x), context.routings[layer.name]


def layer_of(gate, k=2, experts=4, **options):
    return MoELayer(MLPExpert([6]).stages()[0], gate(5, k=k), (5,), experts=experts, **options)


@pytest.mark.parametrize("gate", GATES)
def test_dispatch_equals_the_sum_written_out_row_by_row(gate):
    layer = layer_of(gate)
    layer.assign(0, ["e0", "e2", "e3"])
    x = torch.randn(17, 5)
    y, routing = run(layer, x, 0)
    ids = layer.offered(0)
    weights = routing.weights.expand(17, -1)
    chosen = routing.chosen.expand(17, -1)
    for row in range(17):
        parts = [
            weights[row, i] * layer.pool[ids[int(chosen[row, i])]](x[row : row + 1])[0]
            for i in range(chosen.shape[1])
        ]
        assert torch.allclose(y[row], sum(parts), atol=1e-6)


@pytest.mark.parametrize("gate", [g for g in GATES if g is not TokenGate])
def test_a_task_aware_gate_uses_only_the_experts_of_the_task(gate):
    layer = layer_of(gate)
    layer.assign(0, ["e0", "e1"])
    layer.assign(1, ["e2", "e3"])
    run(layer, torch.randn(9, 5), 1)[0].sum().backward()
    assert all(p.grad is None for e in ("e0", "e1") for p in layer.pool[e].parameters())
    assert any(p.grad is not None for e in ("e2", "e3") for p in layer.pool[e].parameters())


def test_a_token_gate_may_use_every_expert():
    layer = layer_of(TokenGate, k=4)
    layer.assign(0, ["e0"])
    run(layer, torch.randn(9, 5), 0)[0].sum().backward()
    assert all(p.grad is not None for p in layer.pool["e3"].parameters())


def test_the_seed_decides_the_experts_and_their_number_does_not():
    few, many = layer_of(TaskGate, experts=2, seed=3), layer_of(TaskGate, experts=4, seed=3)
    assert torch.equal(few.pool["e1"][0].weight, many.pool["e1"][0].weight)
    assert not torch.equal(few.pool["e0"][0].weight, few.pool["e1"][0].weight)
    other = layer_of(TaskGate, experts=2, seed=4)
    assert not torch.equal(few.pool["e1"][0].weight, other.pool["e1"][0].weight)


def test_making_experts_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    layer_of(TaskGate)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_shared_expert_is_added_whatever_the_gate_says():
    layer = layer_of(TaskGate, k=1, shared=True)
    layer.assign(0, ["e0"])
    x = torch.randn(3, 5)
    assert torch.allclose(run(layer, x, 0)[0], layer.pool["e0"](x) + layer.shared(x))


def test_convolutional_experts_keep_images_between_layers():
    first, second = ConvExpert([3, 4], 5).stages()[:2]
    lower = MoELayer(first, TaskGate(64), (1, 8, 8))
    upper = MoELayer(second, TaskGate(48), lower.out_shape)
    assert lower.out_shape == (3, 4, 4)
    assert upper.out_shape == (4, 2, 2)


def test_convolutional_experts_say_what_they_need():
    with pytest.raises(ValueError, match="need images"):
        MoELayer(ConvExpert([3]).stages()[0], TaskGate(5), (5,))


def weights_of(layer):
    return {name: p.detach().clone() for name, p in layer.pool.named_parameters()}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_gradient_of_sorted_rows_is_that_of_the_sum_written_out(k):
    layer, draw = layer_of(TokenGate, k=k), torch.Generator().manual_seed(0)
    x = torch.randn(17, 5, generator=draw, requires_grad=True)
    out = torch.randn(17, 6, generator=draw)
    wanted = [x, *layer.parameters()]

    def written_out():
        routing = layer.gate(x, 0, layer.pool.ids)
        every = torch.stack([layer.pool[id_](x) for id_ in layer.pool.ids], dim=1)
        picked = every.gather(1, routing.chosen.unsqueeze(-1).expand(-1, -1, 6))
        return (routing.weights.unsqueeze(-1) * picked).sum(1)

    found = torch.autograd.grad((run(layer, x, 0)[0] * out).sum(), wanted)
    expected = torch.autograd.grad((written_out() * out).sum(), wanted)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_an_expert_without_rows_is_not_run_has_no_gradient_and_does_not_move():
    """Not even by what the optimizer remembers of batches in which it had rows."""
    layer = layer_of(TokenGate, k=1)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.5)

    def step(columns):
        with torch.no_grad():
            for id_, column in layer.gate.columns.items():
                column.copy_(torch.zeros(6) if id_ in columns else torch.tensor([0.0] * 5 + [-9]))
        optimizer.zero_grad()
        run(layer, torch.randn(9, 5), 0)[0].square().sum().backward()
        optimizer.step()

    for id_ in layer.pool.ids:
        step([id_])
    layer.pool["e3"].register_forward_hook(lambda *_: pytest.fail("e3 has no rows"))
    before = weights_of(layer)
    step(["e1"])
    assert all(p.grad is None for e in ("e0", "e2", "e3") for p in layer.pool[e].parameters())
    after = weights_of(layer)
    moved = {name.split(".")[1] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"e1"}
