"""Paths are read once for the same rows, however many tasks are on them."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.conv import ConvExpert
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.gates.task_conditioned import TaskConditionedGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry


def network_of(gate=EnsembleGate):
    """Two layers: tasks 0 and 1 share a path, task 2 its lower layer, and 3 pools all of them."""
    shape, made = (4,), []
    for depth, factory in enumerate(cut(MLPExpert([8, 6]).stages(), 2)):
        made.append(MoELayer(factory, gate(shape[0]), shape, experts=2, seed=depth))
        shape = made[-1].out_shape
    network = MoENetwork(Chain(made))
    for task, upper in enumerate(("e0", "e0", "e1")):
        network.add_task(task, [["e0"], [upper]], network.new_head(task, 3))
    return network.requires_grad_(False)


@pytest.fixture
def calls(request):
    """How often each expert is run."""
    return Counter()


def watched(network, calls):
    for depth, layer in enumerate(network.moe_layers):
        for id_ in layer.pool.ids:
            name = f"{depth}:{id_}"
            layer.pool[id_].register_forward_hook(lambda *_, name=name: calls.update([name]))
    return network


WANTED = [
    RAW,
    Block(0),
    Block(1, "predictions"),
    Block(2, 0),
    Block(2, "log predictions"),
    Block(1, 0),
]


def test_a_stage_that_tasks_share_is_run_once(calls):
    network = watched(network_of(), calls)
    reader = network.reader(torch.rand(5, 4))
    reader.blocks(WANTED[:3])
    reader.blocks(WANTED)
    assert calls == {"0:e0": 1, "1:e0": 1, "1:e1": 1}


def test_what_is_read_is_what_each_task_gives_by_itself():
    network, x = network_of(), torch.rand(5, 4)
    found = network.reader(x).blocks(WANTED)
    assert list(found) == WANTED
    assert torch.equal(found[RAW], x)
    assert torch.equal(found[Block(0)], network.features(x, 0)[0])
    assert torch.equal(found[Block(1, "predictions")], network(x, 1).softmax(1))
    assert torch.equal(found[Block(2, "log predictions")], network(x, 2).log_softmax(1))
    assert torch.equal(found[Block(2, 0)], network.moe_layers[0].pool["e0"](x))


def test_a_path_behind_a_symmetry_reads_the_images_that_the_symmetry_gives(calls):
    (stage,) = cut(ConvExpert([2], feature_dim=4).stages(), 1)
    network = MoENetwork(Chain([MoELayer(stage, EnsembleGate(36), (1, 6, 6))])).requires_grad_(
        False
    )
    network.add_task(0, [["e0"]], network.new_head(0, 3))
    x, symmetry = torch.rand(5, 1, 6, 6), Symmetry(turns=1, inverted=1.0)
    wanted = [Block(0, part, symmetry) for part in (0, "features", "log predictions")]
    plain = [block._replace(symmetry=None) for block in wanted]
    expected = network.blocks((1 - x).rot90(1, (2, 3)), plain)
    network.backbone.stage_modules(0)[0].register_forward_hook(lambda *_: calls.update(["lowest"]))
    reader = network.reader(x)
    found = reader.blocks([*plain, *wanted])
    assert calls == {"lowest": 2}  # as they are, and under the symmetry
    for seen, block in zip(wanted, plain, strict=True):
        assert torch.equal(found[seen], expected[block])
        assert not torch.equal(found[block], expected[block])


def test_an_average_reads_no_more_than_its_paths(calls):
    network, x = network_of(), torch.rand(5, 4)
    blocks = network.blocks(x, [Block(0), Block(1, "predictions")])
    weights = {block: torch.ones(2, values.shape[1]) for block, values in blocks.items()}
    network.add_task(3, [], EnsembleHead(weights, torch.zeros(2), {0: 0.5, 1: 0.5}))
    expected = network(x, 3)
    watched(network, calls)
    found = network.blocks(x, [Block(3, "predictions"), Block(0)])
    assert torch.equal(found[Block(3, "predictions")], expected.softmax(1))
    assert calls == {"0:e0": 1, "1:e0": 1}


def test_a_layer_that_asks_for_the_task_is_run_for_each():
    network = network_of(TaskConditionedGate)
    network = MoENetwork(Chain(network.moe_layers))
    for task in (5, 6):
        network.add_task(task, [["e0", "e1"]] * 2, network.new_head(task, 3))
    x = torch.rand(64, 4)
    with torch.no_grad():
        found = network.reader(x).blocks([Block(5), Block(6)])
        for task in (5, 6):
            assert torch.equal(found[Block(task)], network.features(x, task)[0])
    assert not torch.equal(found[Block(5)], found[Block(6)])


def test_the_route_of_a_task_is_the_first_task_on_its_path():
    network = network_of()
    heads = {
        3: {Block(1): 6},  # reads the path of 0
        4: {RAW: 4},
        5: {RAW: 4, Block(3, "predictions"): 2, Block(0, "predictions"): 3},
        6: {Block(0): 6, Block(2): 6},  # two paths: its own route
        7: {Block(6, "predictions"): 2},
        8: {Block(2, symmetry=Symmetry(1)): 6},  # a pass of its own
        9: {Block(8, "predictions"): 2, RAW: 4},
    }
    for task, reads in heads.items():
        weights = {block: torch.zeros(2, width) for block, width in reads.items()}
        network.add_task(task, [], EnsembleHead(weights, torch.zeros(2), {-1: 1.0}))
    routes = [network.route(task) for task in network.tasks]
    assert routes == [0, 0, 2, 0, -1, 0, 6, 6, 8, 8]
