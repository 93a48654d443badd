from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import OWN, RAW, Block
from cl_moe.moe.experts.base import cut, stages_of
from cl_moe.moe.experts.conv import ConvExpert
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork


def network_of(layers=2, gate=TaskGate, experts=2, shared=False, widths=(8, 6), encoder=None):
    shape, made = (4,), []
    for depth, factory in enumerate(cut(MLPExpert(widths).stages(), layers)):
        made.append(
            MoELayer(factory, gate(shape[0]), shape, experts=experts, shared=shared, seed=depth)
        )
        shape = made[-1].out_shape
    return MoENetwork(Chain(made, encoder))


def test_a_task_runs_through_its_path():
    network = network_of()
    network.add_task(0, [["e1"], ["e0"]], head := network.new_head(0, 3))
    x = torch.randn(5, 4)
    low, high = network.moe_layers
    assert torch.equal(network(x, 0), head({OWN: high.pool["e0"](low.pool["e1"](x))}))
    assert network.path(0) == (("e1",), ("e0",))


def test_usage_says_which_experts_a_task_uses():
    network = network_of()
    network.add_task(0, [["e1"], ["e0"]], network.new_head(0, 3))
    assert network.usage(torch.randn(5, 4), 0) == [{"e1": 1.0}, {"e0": 1.0}]


def evidence_head(blocks, classes, shares, seed=0):
    """An evidence head with random weights for the blocks' values."""
    draw = torch.Generator().manual_seed(seed)
    weights = {b: torch.randn(classes, v.shape[1], generator=draw) for b, v in blocks.items()}
    return EnsembleHead(weights, torch.randn(classes, generator=draw), shares)


def test_an_evidence_head_reads_earlier_paths():
    network = network_of(gate=EnsembleGate)
    network.add_task(0, [["e0"], ["e1"]], network.new_head(0, 3))
    x = torch.randn(9, 4)
    wanted = [RAW, Block(0), Block(0, "predictions")]
    with torch.no_grad():
        values = network.blocks(x, wanted)
        network.add_task(1, [], head := evidence_head(values, 2, {-1: 0.6, 0: 0.4}))
        expected = head.bias + sum(
            values[b] @ w.T for b, w in zip(wanted, head.weights, strict=True)
        )
        assert torch.allclose(network(x, 1), expected, atol=1e-6)
    assert network.n_classes(1) == 2
    assert not network.owns_path(1)
    low, high = network.usage(x, 1)
    assert low == pytest.approx({"e0": 0.4})
    assert high == pytest.approx({"e1": 0.4})


def test_an_average_of_an_average_uses_the_experts_below():
    network = network_of(gate=EnsembleGate)
    network.add_task(0, [["e0"], ["e1"]], network.new_head(0, 3))
    network.add_task(1, [["e1"], ["e1"]], network.new_head(1, 3))
    x = torch.randn(9, 4)
    with torch.no_grad():
        first = network.blocks(x, [RAW, Block(0), Block(1, 0)])
        network.add_task(2, [], evidence_head(first, 3, {-1: 0.2, 0: 0.5, 1: 0.3}))
        second = network.blocks(x, [Block(2, "log predictions"), Block(0, "predictions")])
        network.add_task(3, [], evidence_head(second, 3, {2: 0.6, 0: 0.4}))
    low, high = network.usage(x, 3)
    assert low == pytest.approx({"e0": 0.6 * 0.5 + 0.4, "e1": 0.6 * 0.3})
    assert high == pytest.approx({"e1": 0.6 * (0.5 + 0.3) + 0.4})


class TestBlocks:
    """What earlier paths make of rows, against running their modules by hand."""

    def test_the_raw_input_is_what_comes_behind_the_encoder(self):
        network = network_of(layers=1, encoder=nn.Linear(3, 4))
        x = torch.randn(5, 3)
        assert torch.equal(network.blocks(x, [RAW])[RAW], network.backbone.encoder(x))

    @pytest.mark.parametrize("layers", [1, 2])
    def test_stages_of_perceptrons_are_hidden_layers(self, layers):
        network = network_of(layers=layers)
        path = [["e1"], ["e0"]][:layers]
        network.add_task(0, path, head := network.new_head(0, 3))
        experts = [layer.pool[id_] for layer, (id_,) in zip(network.moe_layers, path, strict=True)]
        low, high = experts if layers == 2 else experts[0]
        x = torch.randn(5, 4)
        assert network.inner_stages(0) == 1
        parts = [0, "features", "predictions", "log predictions"]
        found = network.blocks(x, [Block(0, part) for part in parts])
        assert list(found) == [Block(0, part) for part in parts]
        assert torch.equal(found[Block(0, 0)], low(x))
        assert torch.equal(found[Block(0)], high(low(x)))
        assert torch.equal(found[Block(0)], network.features(x, 0)[0])
        logits = head({OWN: high(low(x))})
        assert torch.equal(found[Block(0, "predictions")], logits.softmax(1))
        assert torch.equal(found[Block(0, "log predictions")], logits.log_softmax(1))

    @pytest.mark.parametrize("layers", [1, 2, 3])
    def test_stages_of_convolutions_are_averaged_over_four_pixels(self, layers):
        network = conv_network(layers)
        network.add_task(0, [["e0"]] * layers, network.new_head(0, 3))
        first, second, linear = (
            stage for layer in network.moe_layers for stage in stages_of(layer.pool["e0"])
        )
        x = torch.randn(5, 1, 10, 10)
        low = first(x)
        high = second(low)
        assert (low.shape[1:], high.shape[1:]) == ((3, 5, 5), (4, 3, 3))
        assert network.inner_stages(0) == 2
        found = network.blocks(x, [RAW, Block(0, 1), Block(0), Block(0, 0)])
        assert torch.equal(found[RAW], x.flatten(1))
        assert torch.allclose(found[Block(0, 0)], by_four(low), atol=1e-6)
        assert torch.allclose(found[Block(0, 1)], by_four(high), atol=1e-6)
        assert torch.equal(found[Block(0)], linear(high))

    def test_stages_above_those_asked_for_are_not_run(self):
        network = network_of(layers=2)
        network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))
        called = []
        for layer in network.moe_layers:
            layer.pool["e0"].register_forward_hook(lambda module, *_: called.append(module))
        network.blocks(torch.randn(5, 4), [Block(0, 0)])
        assert called == [network.moe_layers[0].pool["e0"]]

    def test_each_path_is_run_once(self):
        network = network_of(layers=2)
        network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))
        called = []
        network.moe_layers[0].pool["e0"].register_forward_hook(lambda *_: called.append(1))
        network.blocks(torch.randn(5, 4), [Block(0), Block(0, 0), Block(0, "predictions"), RAW])
        assert called == [1]

    @pytest.mark.parametrize("layers", [1, 2])
    @pytest.mark.parametrize("which", ["shared", "several", "by row"])
    def test_a_layer_that_adds_up_experts_is_one_stage(self, layers, which):
        gate = TokenGate if which == "by row" else TaskGate
        network = network_of(layers, gate, shared=which == "shared", widths=[8, 7, 6])
        ids = ["e0", "e1"] if which == "several" else ["e0"]
        network.add_task(0, [ids] * layers, network.new_head(0, 3))
        assert network.inner_stages(0) == layers - 1
        x = torch.randn(5, 4)
        expected = network.features(x, 0)[0]
        found = network.blocks(x, [Block(0), *(Block(0, s) for s in range(layers - 1))])
        assert torch.equal(found[Block(0)], expected)
        if layers == 2:
            with network.backbone.context.of(0):
                low = network.moe_layers[0](x)
            assert torch.equal(found[Block(0, 0)], low)

    def test_layers_are_cut_one_by_one(self):
        """Two experts below, one of two stages above: the layer below is one stage."""
        network = network_of(layers=2, widths=[8, 7, 6, 5])
        network.add_task(0, [["e0", "e1"], ["e0"]], network.new_head(0, 3))
        assert network.inner_stages(0) == 2
        x = torch.randn(5, 4)
        with network.backbone.context.of(0):
            low = network.moe_layers[0](x)
        found = network.blocks(x, [Block(0, 0), Block(0, 1)])
        assert torch.equal(found[Block(0, 0)], low)
        assert torch.equal(found[Block(0, 1)], network.moe_layers[1].pool["e0"][0](low))


def conv_network(layers):
    shape, made = (1, 10, 10), []
    for depth, factory in enumerate(cut(ConvExpert([3, 4], 5).stages(), layers)):
        made.append(MoELayer(factory, TaskGate(1), shape, seed=depth))
        shape = made[-1].out_shape
    return MoENetwork(Chain(made))


def by_four(images):
    """Means over 2 x 2 pixels; what is left over at an odd edge is averaged by itself."""
    *_, height, width = images.shape
    rows = [
        images[:, :, i : i + 2, j : j + 2].mean((2, 3))
        for i in range(0, height, 2)
        for j in range(0, width, 2)
    ]
    return torch.stack(rows, 2).flatten(1)


def test_one_task_is_taken_in_once():
    network = network_of()
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))
    with pytest.raises(AssertionError, match="known already"):
        network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))


def test_an_encoder_comes_before_everything():
    network = network_of(encoder=nn.Linear(3, 4))
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 2))
    assert network(torch.randn(5, 3), 0).shape == (5, 2)
