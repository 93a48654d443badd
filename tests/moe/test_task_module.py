"""What is taken out for one task answers as the network does, and holds no more than it needs."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from cl_moe.errors import InputError
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.dense import DenseNetwork, SharedHeadNetwork
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.conv import ConvExpert
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.gates.masked import MaskedGate
from cl_moe.moe.gates.multi_gate import MultiGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.gates.task_conditioned import TaskConditionedGate
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry

GATES = [TaskGate, EnsembleGate, TokenGate, MaskedGate, MultiGate, TaskConditionedGate]
TRUNKS = {
    "mlp": ((6,), MLPExpert([5, 4])),
    "conv": ((1, 6, 6), ConvExpert([2, 3], feature_dim=4)),
}


def network_of(gate=TaskGate, trunk="mlp", layers=1, shared=False, experts=3, k=2, encoder=None):
    """A network that knows no task."""
    shape, factory = TRUNKS[trunk]
    made = []
    for depth, stage in enumerate(cut(factory.stages(), layers)):
        size = torch.Size(shape).numel()
        made.append(MoELayer(stage, gate(size, k=k), shape, experts, shared, seed=depth))
        shape = made[-1].out_shape
    return MoENetwork(Chain(made, encoder))


def learned(network, paths):
    """Take in a task a path (each the experts of every layer), and make all gates uneven."""
    for task, path in enumerate(paths):
        network.add_task(task, [path] * len(network.moe_layers), network.new_head(task, 3))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in network.moe_layers:
            for parameter in layer.gate.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw))
    return network.eval()


def rows(trunk="mlp", n=7):
    return torch.randn(n, *TRUNKS[trunk][0], generator=torch.Generator().manual_seed(1))


def size(*parts):
    return sum(p.numel() for part in parts for p in part.parameters())


def assert_same(network, task, x):
    answer = network.for_task(task)
    assert torch.allclose(answer(x), network(x, task), rtol=0, atol=1e-6)
    assert not answer.training
    assert not any(parameter.requires_grad for parameter in answer.parameters())
    return answer


PATHS = [["e0", "e1", "e2"], ["e2"], ["e1", "e0"]]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("k", [1, 2])
def test_it_answers_as_the_network_does(gate, trunk, layers, shared, k):
    network = learned(network_of(gate, trunk, layers, shared, k=k), PATHS)
    for task in network.tasks:
        answer = assert_same(network, task, rows(trunk))
        assert not any(isinstance(module, MoELayer) for module in answer.modules())


def test_one_expert_a_layer_is_a_plain_row_of_modules():
    network = learned(network_of(layers=2), PATHS)
    answer = network.for_task(1)
    assert [name for name, _ in answer.named_children()] == ["layer0", "layer1", "flatten", "head"]
    low, high = (layer.pool["e2"] for layer in network.moe_layers)
    assert size(answer) == size(low, high, network.heads["1"])
    assert {type(module).__module__.split(".")[0] for module in answer.modules()} == {"torch"}


def test_an_encoder_comes_along():
    network = learned(network_of(encoder=nn.Linear(2, 6)), PATHS)
    answer = assert_same(network, 1, torch.randn(5, 2))
    assert size(answer) == size(
        network.backbone.encoder, network.moe_layers[0].pool["e2"], network.heads["1"]
    )


@pytest.mark.parametrize("gate", GATES)
def test_later_training_does_not_change_it(gate):
    network, x = learned(network_of(gate, layers=2, shared=True), PATHS), rows()
    answer, other = network.for_task(0), network.for_task(0)
    before = answer(x)
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(x, 0).square().sum().backward()
    optimizer.step()
    assert torch.equal(answer(x), before)
    assert not torch.allclose(network(x, 0), before)
    with torch.no_grad():
        answer[-1].bias += 1.0
    assert torch.equal(other(x), before)


def pooled(network, task, blocks, x, n_classes=2):
    """Let a task be answered from blocks of earlier paths."""
    draw = torch.Generator().manual_seed(task)
    with torch.no_grad():
        values = network.blocks(x, blocks)
    weights = {b: torch.randn(n_classes, values[b].shape[1], generator=draw) / 4 for b in blocks}
    bias = torch.randn(n_classes, generator=draw)
    network.add_task(task, [], EnsembleHead(weights, bias, {block.task: 1.0 for block in blocks}))


READ = {
    "the raw input": [RAW],
    "features": [RAW, Block(0), Block(1)],
    "inner stages": [Block(0, 0), Block(1, 0), Block(1)],
    "predictions": [Block(0, "predictions"), Block(2)],
    "matched log answers": [RAW, Block(2, "log predictions")],
    "all together": [
        RAW,
        *(Block(1, p) for p in (0, "features", "predictions", "log predictions")),
    ],
}


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_a_pooled_answer_reads_what_the_evidence_head_reads(trunk, layers, shared, read):
    x = rows(trunk)
    network = learned(network_of(EnsembleGate, trunk, layers, shared), PATHS)
    pooled(network, 3, read, x)
    assert_same(network, 3, x)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_pooled_answer_may_read_pooled_answers(trunk):
    network = network_of(EnsembleGate, trunk, encoder=nn.Identity())
    x, network = rows(trunk), learned(network, [["e0"], ["e1"]])
    pooled(network, 2, [RAW, Block(0, 0), Block(1, "predictions")], x)
    pooled(network, 3, [Block(2, "log predictions"), Block(0)], x)
    pooled(network, 4, [Block(3, "predictions"), Block(2, "predictions"), RAW], x)
    for task in (2, 3, 4):
        assert_same(network, task, x)


def test_a_pooled_answer_looks_through_the_symmetries_of_the_evidence_head():
    x, network = rows("conv"), learned(network_of(EnsembleGate, "conv"), [["e0"], ["e1"]])
    turned, inverted = Symmetry(turns=1), Symmetry(flipped=True, inverted=1.0)
    pooled(network, 2, [Block(0, 0, turned), Block(0, "predictions", inverted), Block(0), RAW], x)
    pooled(network, 3, [Block(2, "predictions"), Block(1, "features", turned)], x)
    for task in (2, 3):
        assert_same(network, task, x)


def test_a_pooled_answer_holds_paths_as_far_as_they_are_read():
    network = learned(network_of(EnsembleGate), [["e0"], ["e1"], ["e0"]])
    x, (first, second) = rows(), network.backbone.stage_modules(0)
    heads = network.heads
    pooled(network, 3, [RAW, Block(0, 0)], x)
    assert size(network.for_task(3)) == size(first, heads["3"])
    pooled(network, 4, [Block(0, 0), Block(0)], x)
    assert size(network.for_task(4)) == size(first, second, heads["4"])
    pooled(network, 5, [Block(1, "log predictions")], x)
    assert size(network.for_task(5)) == size(first, second, heads["1"], heads["5"])
    pooled(network, 6, [Block(5, "predictions"), Block(1)], x)
    assert size(network.for_task(6)) == size(first, second, *(heads[t] for t in "156"))
    # tasks 0 and 2 have one path, which is held once
    pooled(network, 7, [Block(0), Block(2)], x)
    assert size(network.for_task(7)) == size(first, second, heads["7"])


def exported(name):
    """A module of the kind called so, or behind the gate called so, with rows."""
    x = rows("conv")
    if name == "plain":
        return learned(network_of(trunk="conv"), PATHS).for_task(1), x
    if name == "pooled":
        network = learned(network_of(EnsembleGate, "conv"), [["e0"], ["e1"]])
        pooled(network, 2, [RAW, Block(0, 0), Block(1, "predictions")], x)
        symmetry = Symmetry(turns=1, flipped=True, inverted=1.0)
        pooled(
            network, 3, [Block(2, "log predictions"), Block(0, 1), Block(1, symmetry=symmetry)], x
        )
        return network.for_task(3), x
    (gate,) = (gate for gate in GATES if gate.__name__ == name)
    return learned(network_of(gate, shared=True), PATHS).for_task(0), rows()


@pytest.mark.parametrize(
    "name", ["plain", "pooled", "TaskGate", "MaskedGate", "TaskConditionedGate"]
)
def test_an_export_answers_the_same_after_a_round_trip(name):
    answer, x = exported(name)
    any_number = {0: torch.export.Dim("rows", min=2)}
    program = torch.export.export(answer, (x,), dynamic_shapes=(any_number,), strict=False)
    stored = io.BytesIO()
    torch.export.save(program, stored)
    stored.seek(0)
    again = torch.export.load(stored).module()
    for some in (x, x[:3]):
        assert torch.allclose(again(some), answer(some), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["plain", "pooled", "TaskGate", "MaskedGate"])
def test_it_exports_to_onnx(name, tmp_path):
    onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
    pytest.importorskip("onnxscript", reason="the package onnxscript is not installed")
    from onnx.reference import ReferenceEvaluator

    answer, x = exported(name)
    path = tmp_path / "answer.onnx"
    torch.onnx.export(answer, (x,), path, input_names=["x"], dynamo=True, verbose=False)
    (found,) = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x.numpy()})
    assert torch.allclose(torch.from_numpy(found), answer(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", [DenseNetwork, SharedHeadNetwork])
def test_dense_networks_give_trunk_and_head(kind):
    (trunk,) = cut(MLPExpert([5]).stages(), 1)
    network = kind(trunk, (6,), *([3] if kind is SharedHeadNetwork else []))
    network.add_task(0, 3)
    network.add_task(1, 3)
    answer = assert_same(network, 1, rows())
    assert size(answer) == 6 * 5 + 5 + 5 * 3 + 3


def test_a_task_that_is_not_known_is_refused():
    with pytest.raises(InputError, match=r"task 5: has not been learned; .* are 0, 1, 2"):
        learned(network_of(), PATHS).for_task(5)
    with pytest.raises(InputError, match="are none yet"):
        network_of().for_task(0)
