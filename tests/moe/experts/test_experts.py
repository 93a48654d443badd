"""What each kind of expert is; what all have in common is in tests/testing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe import catalog
from cl_moe.moe.experts._any import AnyModule
from cl_moe.moe.experts.base import (
    cut,
    make_module,
    output_shape,
)


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


def test_a_trunk_cannot_be_cut_into_more_parts_than_it_has_stages():
    with pytest.raises(ValueError, match="layers: 3 cannot be cut from a trunk of 2 stages"):
        cut(catalog.resolve("expert", "mlp")([4, 3]).stages(), 3)


def test_a_residual_network_takes_images_of_any_size_and_nothing_else():
    factory = catalog.resolve("expert", "resnet")([4, 8, 6])
    for size in ((1, 1), (2, 3), (28, 28)):
        trunk = make_module(cut(factory.stages(), 1)[0], (2, *size), 0)
        assert trunk(torch.zeros(2, 2, *size)).shape == (2, 6)
    with pytest.raises(ValueError, match=r"residual networks need images .* not \(5,\)"):
        factory.stages()[0]((5,))


def test_features_of_a_residual_network_do_not_depend_on_the_other_rows_after_training():
    trunk = make_module(cut(catalog.resolve("expert", "resnet")([4]).stages(), 1)[0], (1, 4, 4), 0)
    x = torch.rand(8, 1, 4, 4)
    trunk.train()(x)  # the running statistics move
    assert torch.allclose(trunk.eval()(x)[:1], trunk(x[:1]), atol=1e-6)


def test_any_function_of_a_shape_makes_experts_but_cannot_be_widened():
    kind = AnyModule(lambda shape: nn.Linear(*shape, 7))
    assert output_shape(make_module(cut(kind.stages(), 1)[0], (3,), 0), (3,)) == (7,)
    with pytest.raises(ValueError, match="cannot be widened"):
        kind.widened(2.0)
