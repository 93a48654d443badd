"""An expert of one network in another one's pool: the same features there, or a clear refusal."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import cl_moe
from cl_moe.errors import InputError
from cl_moe.moe.edits import Add, Assign, Train, apply, expert_part
from cl_moe.streams.spec import NetworkSpec


def moe(seed: int, **network: object) -> cl_moe.MoENetwork:
    spec = NetworkSpec(**{"hidden": [8, 6], "layers": 2, **network})
    return cl_moe.build_moe(spec, (4,), seed).network


def trained(network, task: int = 0) -> None:
    """Give a task experts whose numbers, buffers too, are not those that they began with."""
    path = [[layer.pool.ids[0]] for layer in network.moe_layers]
    network.add_task(task, path, network.new_head(task, n_outputs=2))
    with torch.no_grad():
        for layer in network.moe_layers:
            for tensor in layer.pool[layer.pool.ids[0]].state_dict(keep_vars=True).values():
                if tensor.is_floating_point():
                    tensor.add_(torch.rand_like(tensor))


def features(network, x, task: int):
    network.eval()
    with torch.no_grad(), network.backbone.context.of(task):
        return network.backbone(x)


def move(old, new, task: int, extra: tuple = ()):
    """Move the first experts of all slots, and let a task use them."""
    adds = [
        Add(layer.name, "moved", layer.pool.copy_of(layer.pool.ids[0])) for layer in old.moe_layers
    ]
    slots = {layer.name: ("moved",) for layer in new.moe_layers}
    return apply(new, [*adds, Assign(task, slots, new.new_head(task, n_outputs=3)), *extra])


@pytest.mark.parametrize("resident", [None, 1])
def test_a_moved_expert_gives_the_same_features(resident) -> None:
    old, new, x = moe(0, resident=resident), moe(1), torch.rand(5, 4)
    trained(old)
    for layer in old.moe_layers:
        layer.pool.freeze("e0")
    ids = move(old, new, 7, (Train(frozenset({expert_part("layer1", "moved")})),))
    assert ids == {"layer0/moved": "e1", "layer1/moved": "e1"}
    assert torch.equal(features(old, x, 0), features(new, x, 7))
    assert "e1" in new.moe_layers[1].pool.trainable
    assert "e1" in new.moe_layers[0].pool.frozen
    before = features(old, x, 0)
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.add_(1.0)
    assert torch.equal(features(old, x, 0), before), "it is a copy"


@pytest.mark.parametrize("expert", ["lora", "adapter", "copy", "mlp"])
def test_it_does_so_inside_the_same_backbone(expert: str) -> None:
    base = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU())
    old, new = (
        cl_moe.mixture(base, slots=["0", "3"], expert=expert, experts=1, seed=seed).network
        for seed in (0, 1)
    )
    x = torch.rand(5, 4)
    for network in (old, new):
        network.backbone.prepare(x)
    trained(old)
    move(old, new, 2)
    assert torch.equal(features(old, x, 0), features(new, x, 2))


@pytest.mark.parametrize(
    ("expert", "wanted"),
    [
        (nn.Linear(4, 5), r"slot 'layer0' takes rows of shape \(4,\) and gives \(8,\); the expert"),
        (nn.Linear(3, 8), r"the expert 'x' cannot read them"),
        (nn.Sequential(nn.BatchNorm1d(9), nn.Linear(9, 8)), "cannot read them"),
        (nn.Conv2d(1, 1, 3), "cannot read them"),
    ],
)
def test_an_expert_of_other_shapes_is_refused_and_nothing_is_changed(expert, wanted) -> None:
    network, modes = moe(0), [module.training for module in expert.modules()]
    good = Add("layer1", "good", network.moe_layers[1].make_next())
    with pytest.raises(InputError, match=wanted) as error:
        apply(network, [good, Add("layer0", "x", expert), Add("layer2", "y", nn.Linear(2, 2))])
    assert error.value.problems[1] == "Add: no slot 'layer2'; did you mean 'layer1'?"
    assert [layer.pool.ids for layer in network.moe_layers] == [["e0"], ["e0"]]
    assert [module.training for module in expert.modules()] == modes


def test_an_expert_of_another_host_is_refused() -> None:
    wide = cl_moe.mixture(nn.Sequential(nn.Linear(4, 9), nn.ReLU()), slots="0", experts=1).network
    base = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    new = cl_moe.mixture(base, slots="0").network
    for network in (wide, new):
        network.backbone.prepare(torch.rand(2, 4))
    with pytest.raises(InputError, match=r"slot '0' takes rows of shape \(4,\) and gives \(6,\)"):
        move(wide, new, 0)
