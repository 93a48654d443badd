"""What every expert kind must satisfy, found by name in the catalogue."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe import catalog
from cl_moe.moe.experts._any import AnyModule
from cl_moe.moe.experts.base import (
    ExpertFactory,
    HostExpert,
    cut,
    make_module,
    output_shape,
    stages_of,
)

SHAPE = (1, 8, 8)


def count(module):
    return sum(p.numel() for p in module.parameters())


KINDS = {name: catalog.resolve("expert", name) for name in catalog.names("expert")}
TRUNKS = [name for name, kind in KINDS.items() if issubclass(kind, ExpertFactory)]
AT_HOSTS = [name for name, kind in KINDS.items() if issubclass(kind, HostExpert)]


@pytest.mark.parametrize("name", AT_HOSTS)
class TestEveryExpertAtAHost:
    def test_it_gives_what_is_added_to_the_host_or_takes_its_place(self, name):
        kind, host, x = catalog.resolve("expert", name)(), nn.Linear(6, 4), torch.randn(5, 6)
        expert = make_module(lambda shape: kind.make(host, (6,), (4,)), (), seed=0)
        read = host(x) if kind.placement == "output" else x
        assert expert(read).shape == host(x).shape
        if kind.placement != "replace":  # it begins as the host
            assert bool((expert(read) == 0).all())

    def test_the_same_seed_gives_the_same_expert_and_leaves_the_host_alone(self, name):
        kind, host = catalog.resolve("expert", name)(), nn.Linear(6, 4)
        before = [p.clone() for p in host.parameters()]
        one, two = (make_module(lambda _: kind.make(host, (6,), (4,)), (), seed=1) for _ in "ab")
        assert all(map(torch.equal, one.parameters(), two.parameters()))
        assert all(map(torch.equal, before, host.parameters()))
        assert not {id(p) for p in one.parameters()} & {id(p) for p in host.parameters()}

    def test_tokens_are_mapped_one_by_one(self, name):
        kind, host, x = catalog.resolve("expert", name)(), nn.Linear(6, 4), torch.randn(2, 3, 6)
        expert = kind.make(host, (3, 6), (3, 4))
        for parameter in expert.parameters():
            nn.init.normal_(parameter)
        read = host(x) if kind.placement == "output" else x
        assert torch.allclose(expert(read)[:, 1:2], expert(read[:, 1:2]), atol=1e-5)


@pytest.mark.parametrize("channels", [2, 5])
def test_a_low_rank_change_of_a_convolution_keeps_its_shape(channels):
    host, x = nn.Conv2d(3, channels, 3, stride=2, padding=1), torch.randn(2, 3, 9, 9)
    expert = catalog.resolve("expert", "lora")(rank=2).make(host, (3, 9, 9), (channels, 5, 5))
    assert expert(x).shape == host(x).shape


def test_the_product_of_a_low_rank_change_is_what_it_adds_to_the_weight():
    host, x = nn.Linear(6, 4), torch.randn(5, 6)
    expert = catalog.resolve("expert", "lora")(rank=2, alpha=3.0).make(host, (6,), (4,))
    nn.init.normal_(expert.up.weight)
    assert torch.allclose(x @ expert.product().T, expert(x), atol=1e-5)


@pytest.mark.parametrize("name", TRUNKS)
class TestEveryExpert:
    def test_any_cut_into_layers_is_the_same_trunk(self, name):
        stages = catalog.resolve("expert", name)().stages()
        whole = make_module(cut(stages, 1)[0], SHAPE, seed=0)
        for layers in range(1, len(stages) + 1):
            shape, parameters = SHAPE, 0
            for factory in cut(stages, layers):
                part = make_module(factory, shape, seed=0)
                shape, parameters = output_shape(part, shape), parameters + count(part)
            assert shape == output_shape(whole, SHAPE)
            assert parameters == count(whole)

    def test_the_stages_of_a_part_can_be_told_apart(self, name):
        stages = catalog.resolve("expert", name)([4, 3]).stages()
        (whole,) = cut(stages, 1)
        trunk = make_module(whole, SHAPE, seed=0)
        assert len(stages_of(trunk)) == len(stages)
        x = z = torch.randn(2, *SHAPE)
        for stage in stages_of(trunk):
            assert stages_of(stage) == [stage]
            z = stage(z)
        assert torch.equal(trunk(x), z)
        lowest = make_module(cut(stages, len(stages))[0], SHAPE, seed=0)
        assert stages_of(lowest) == [lowest]

    def test_widening_multiplies_the_features(self, name):
        kind = catalog.resolve("expert", name)()
        sizes = [
            output_shape(make_module(cut(k.stages(), 1)[0], SHAPE, 0), SHAPE)
            for k in (kind, kind.widened(2.0))
        ]
        assert sizes[1] == (2 * sizes[0][0],)

    def test_rows_do_not_influence_each_other(self, name):
        trunk = make_module(cut(catalog.resolve("expert", name)().stages(), 1)[0], SHAPE, 0)
        x = torch.randn(4, *SHAPE)
        assert torch.allclose(trunk(x)[:1], trunk(x[:1]), atol=1e-6)

    def test_it_cannot_be_cut_into_more_parts_than_it_has(self, name):
        stages = catalog.resolve("expert", name)().stages()
        with pytest.raises(ValueError, match="cannot be cut"):
            cut(stages, len(stages) + 1)


def test_any_function_of_a_shape_makes_experts_but_cannot_be_widened():
    kind = AnyModule(lambda shape: nn.Linear(*shape, 7))
    assert output_shape(make_module(cut(kind.stages(), 1)[0], (3,), 0), (3,)) == (7,)
    with pytest.raises(ValueError, match="cannot be widened"):
        kind.widened(2.0)
