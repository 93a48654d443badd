"""Networks that grow with every task: what is old is frozen, and read where it should be."""

from __future__ import annotations

import pytest
import torch

from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.conv import ConvExpert
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.strategies.baselines.progressive import ProgressiveNetwork
from cl_moe.strategies.baselines.single_task import SingleTaskNetwork


def grown(network, tasks: int):
    for task in range(tasks):
        network.add_task(task, 2 + task)
    return network


def single_task() -> SingleTaskNetwork:
    return SingleTaskNetwork(*cut(MLPExpert([6, 5]).stages(), 1), in_shape=(4,))


def progressive() -> ProgressiveNetwork:
    return ProgressiveNetwork(MLPExpert([6, 5]).stages(), in_shape=(4,))


@pytest.mark.parametrize("make", [single_task, progressive])
def test_only_the_newest_task_is_trainable(make):
    network = grown(make(), 3)
    assert network.tasks == [0, 1, 2]
    trainable = {name for name, p in network.named_parameters() if p.requires_grad}
    newest = {name for name, _ in network.named_parameters() if name.split(".")[1] == "2"}
    assert trainable == newest
    assert network.n_experts == 3


@pytest.mark.parametrize("make", [single_task, progressive])
def test_where_a_task_stands_in_the_stream_does_not_change_its_start(make):
    early, late = make(), grown(make(), 2)
    early.add_task(5, 2)
    late.add_task(5, 2)
    for name, head in early.heads["5"].named_parameters():
        assert torch.equal(head, late.heads["5"].get_parameter(name))


def test_a_progressive_column_reads_all_earlier_ones_and_no_later_one():
    network, x = grown(progressive(), 3), torch.rand(3, 4)
    before = [network(x, task).detach() for task in range(3)]
    with torch.no_grad():
        for parameter in network.columns["1"]["stages"].parameters():
            parameter += 1.0
    after = [network(x, task).detach() for task in range(3)]
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert not torch.equal(before[2], after[2])


def test_a_progressive_first_column_is_a_plain_network():
    network, x = grown(progressive(), 1), torch.rand(3, 4)
    h = x
    for stage in network.columns["0"]["stages"]:
        h = stage(h)
    assert torch.equal(network(x, 0), network.heads["0"](h))
    assert len(network.columns["0"]["adapters"]) == 0


def test_progressive_columns_may_be_convolutional():
    network = ProgressiveNetwork(ConvExpert([3, 4], feature_dim=5).stages(), in_shape=(1, 8, 8))
    grown(network, 3)
    assert network(torch.rand(2, 1, 8, 8), 2).shape == (2, 4)
