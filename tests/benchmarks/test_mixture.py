"""What the benchmarks of the mixture compare does the same work."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks import for_task, gpu, mixture, mixture_peers
from benchmarks._columns import COLUMNS, D, Stack, perceptron, router_of, run_column, step
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.layer import MoELayer
from cl_moe.training.model import TaskModel


def few(shape):
    """Perceptrons that are narrower than those that are timed."""
    return perceptron(shape, hidden=16)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_gives_the_answers_and_gradients_of_our_layer(name):
    layer = MoELayer(few, TokenGate(8, k=1), (8,), experts=5)
    router, stack = router_of(layer), Stack(layer)
    experts = [layer.pool[id_] for id_ in layer.pool]
    x = torch.randn(23, 8, requires_grad=True)
    theirs, ours = run_column(COLUMNS[name], x, router, experts, stack), layer(x, 0)[0]
    torch.testing.assert_close(theirs, ours)
    weights = [expert[0].weight for expert in experts]
    held = weights if "separate" in name else [stack.w1]
    out = torch.randn_like(ours)
    dx, *dw = torch.autograd.grad(theirs, [x, *held], out, allow_unused=True)
    wanted_dx, *wanted = torch.autograd.grad(ours, [x, *weights], out, allow_unused=True)
    torch.testing.assert_close(dx, wanted_dx)
    for found, expected in zip(dw if "separate" in name else dw[0], wanted, strict=True):
        expected = torch.zeros_like(stack.w1[0]) if expected is None else expected
        torch.testing.assert_close(torch.zeros_like(expected) if found is None else found, expected)


def test_a_step_leaves_no_gradient():
    module = nn.Linear(2, 2)
    seen = []
    module.weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad is not None))
    step(lambda: module(torch.rand(3, 2)), module.parameters())()
    assert seen == [True]
    assert module.weight.grad is None


def test_the_mixture_is_measured_at_every_kind_of_point():
    network = mixture.network_of(4)
    assert mixture.one_task(network, 128, 2, rounds=2).at_most == 1.15
    assert mixture.one_task(network, 512, 2, rounds=2).at_most == 1.05
    assert mixture.four_tasks(network, 512, rounds=2).at_most == 1.25
    assert [f.at_most for f in mixture.whole_steps(network, 8, 2, rounds=2)] == [1.1, 1.1]
    figures = mixture.by_row(16, 4, rounds=2)
    assert [f.at_most for f in figures] == [None] * (len(COLUMNS) + 1) + [1.05]


def test_a_step_with_old_experts_frozen_and_one_with_all_trainable_move_the_same():
    network = mixture.network_of(4)
    before = {name: p.clone() for name, p in network.named_parameters()}
    mixture.whole_steps(network, 8, 2, rounds=2)
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert {".".join(name.split(".")[:5]) for name in moved if "pool" in name} == {
        "layers.0.pool.experts.e2"
    }
    assert {name for name in moved if "heads" in name} == {"heads.2.weight", "heads.2.bias"}


def test_on_a_gpu_both_kinds_of_dispatch_have_the_same_parameters():
    layers = gpu.layers_of(4, "cpu")
    x = torch.randn(9, D)
    torch.testing.assert_close(layers["grouped"](x, 0)[0], layers["sorted"](x, 0)[0])
    assert [f.what for f in gpu.point(16, 4, "cpu", rounds=2)] == [
        "16 rows, 4 experts: sorted",
        "16 rows, 4 experts: grouped",
    ]


def test_without_a_gpu_no_page_is_written(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu"])
    monkeypatch.setattr(gpu.Page, "write", lambda page: pytest.fail("a page was written"))
    gpu.main()
    assert "nothing is written" in capsys.readouterr().out


def test_the_peers_do_the_same_work():
    pytest.importorskip("mixture_of_experts", reason="the extra bench is not installed")
    pytest.importorskip("st_moe_pytorch", reason="the extra bench is not installed")
    torch.manual_seed(0)
    x = torch.randn(1024, D)
    layers = mixture_peers.layers_of(4, capacity=8.0)
    for layer in layers.values():
        assert mixture_peers.output(layer, x).shape == x.shape
        assert mixture_peers.kept(layer, x) == 1.0
    # Biases aside, which one of them lacks, all run as many parameters a row.
    ours = sum(p.numel() for p in layers["cl_moe"].pool.parameters())
    biases = sum(p.numel() for p in layers["cl_moe"].pool.parameters() if p.dim() == 1)
    sizes = {
        name: sum(p.numel() for p in layers[name].experts.parameters())
        for name in ("mixture-of-experts", "st-moe-pytorch")
    }
    assert sizes == {"mixture-of-experts": ours - biases, "st-moe-pytorch": ours}
    for name, layer in mixture_peers.layers_of(4, capacity=0.5).items():
        assert mixture_peers.kept(layer, x) == (
            1.0 if name == "cl_moe" else pytest.approx(0.25, abs=0.01)
        )


@pytest.mark.parametrize("by_row", [False, True])
def test_a_task_is_predicted_by_its_experts(by_row):
    model = for_task.model_of(4, by_row)
    assert isinstance(model, TaskModel)
    x = torch.randn(6, D)
    answer = model.for_task(2)
    torch.testing.assert_close(answer(x), model(x, torch.full((6,), 2)))
    gates = 2 * (D + 1) if by_row else 0
    one = for_task.held(model.network.moe_layers[0].pool["e0"])
    head = for_task.held(model.network.heads["2"])
    assert for_task.held(answer) == (2 if by_row else 1) * one + head + gates
    assert for_task.point(model, 4, 2, rounds=2, repeats=1).median > 0
