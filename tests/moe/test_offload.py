"""Experts that are put away come back bit for bit, within the budget, and leave no file."""

from __future__ import annotations

import copy
import gc
from pathlib import Path

import pytest
import torch
from torch import nn

from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.offload import OffloadedExpert, OffloadStore, module_digest
from cl_moe.moe.pool import ExpertPool
from cl_moe.strategies.networks import build_moe
from cl_moe.streams.spec import NetworkSpec


class Odd(nn.Module):
    """Buffers of several types, one of them not in the state, and a scalar of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(3).bfloat16())
        self.register_buffer("count", torch.tensor(7))
        self.register_buffer("hidden", torch.randn(2).double(), persistent=False)
        self.inner = nn.BatchNorm1d(3)
        self.slope = 0.5

    def forward(self, x):
        return self.inner(x) * self.slope + self.bias.float() + self.hidden.sum().float()


def pool_of(count, resident, make=lambda: nn.Linear(2, 2)):
    pool = ExpertPool(resident)
    for _ in range(count):
        pool.freeze(pool.add(make()))
    return pool


def resident_ids(pool):
    return [id_ for id_, part in pool.experts.items() if not isinstance(part, OffloadedExpert)]


def files(pool):
    folder = pool.store._folder
    return sorted(folder.iterdir()) if folder else []


def test_an_expert_comes_back_bit_for_bit_with_all_that_it_holds():
    store, odd = OffloadStore(), Odd().requires_grad_(False)
    odd(torch.rand(4, 3))  # moves the statistics
    odd.eval()
    back = store.load(store.offload(odd)).eval()
    assert module_digest(back) == module_digest(odd)
    assert back.hidden.dtype == torch.float64
    assert torch.equal(back.hidden, odd.hidden)
    assert not any(p.requires_grad for p in back.parameters())
    x = torch.rand(4, 3)
    assert torch.equal(back(x), odd(x))


def test_experts_that_differ_in_a_setting_alone_are_told_apart():
    store, one, other = OffloadStore(), Odd(), Odd()
    other.slope = 2.0
    offloaded = [store.offload(expert) for expert in (one, other)]
    assert [store.load(part).slope for part in offloaded] == [0.5, 2.0]


def test_the_budget_is_kept_and_what_was_used_last_stays():
    pool = pool_of(5, resident=2)
    assert resident_ids(pool) == ["e3", "e4"]
    _ = pool["e0"]
    assert resident_ids(pool) == ["e0", "e4"]
    _ = pool["e4"], pool["e2"]
    assert resident_ids(pool) == ["e2", "e4"]
    assert pool.ids == [f"e{n}" for n in range(5)] == pool.frozen
    assert len(files(pool)) == 4  # e2 was written once, though it left twice


def test_what_is_trained_is_never_put_away():
    pool = pool_of(3, resident=1)
    pool.add(nn.Linear(2, 2))
    pool.unfreeze("e0")
    for id_ in pool.ids:
        _ = pool[id_]
    assert resident_ids(pool) == ["e0", "e2", "e3"]
    assert all(p.requires_grad for p in pool["e0"].parameters())
    pool.freeze("e0")
    assert resident_ids(pool) == ["e0", "e3"]


def test_an_expert_in_hand_stays_usable_when_it_is_put_away():
    pool = pool_of(2, resident=1)
    first = pool["e0"]
    before = first.weight.clone()
    second = pool["e1"]
    assert resident_ids(pool) == ["e1"]
    assert torch.equal(first.weight, before)
    assert second is pool["e1"]


def test_a_change_of_a_frozen_expert_is_kept():
    pool = pool_of(2, resident=1)
    with torch.no_grad():
        pool["e0"].weight += 1
        wanted = pool["e0"].weight.clone()
    _ = pool["e1"]
    assert torch.equal(pool["e0"].weight, wanted)


def test_what_comes_back_is_in_evaluation_mode_until_it_is_unfrozen():
    pool = pool_of(2, resident=1, make=lambda: nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    pool.train()
    for id_ in ("e0", "e1", "e0"):
        assert not any(module.training for module in pool[id_].modules())
    pool.unfreeze("e1")
    assert all(module.training for module in pool["e1"].modules())
    pool.eval()
    assert not pool["e1"][1].training


def test_files_are_left_until_the_last_copy_is_gone():
    pool = pool_of(3, resident=1)
    copied, folder = copy.deepcopy(pool), files(pool)[0].parent
    _ = pool["e0"]
    assert torch.equal(copied["e0"].weight, pool["e0"].weight)
    assert copied["e0"] is not pool["e0"]
    del pool
    gc.collect()
    assert folder.exists()
    assert copied["e1"] is not None
    del copied
    gc.collect()
    assert not Path(folder).exists()


@pytest.fixture
def networks():
    """The same network of four tasks and an average, with all experts at hand and with one."""
    spec = NetworkSpec(hidden=[5, 4], layers=2)
    made = []
    for resident in (None, 1):
        network = build_moe(replace_spec(spec, resident), (3,), seed=0).network
        for task in range(4):
            ids = [layer.add(layer.make(str(task))) for layer in network.moe_layers]
            network.add_task(task, [[id_] for id_ in ids], network.new_head(task, 2))
            for layer, id_ in zip(network.moe_layers, ids, strict=True):
                layer.pool.freeze(id_)
        draw = torch.Generator().manual_seed(0)
        weights = {
            RAW: torch.randn(2, 3, generator=draw),
            Block(0): torch.randn(2, 4, generator=draw),
            Block(1, 0): torch.randn(2, 5, generator=draw),
            Block(3, "predictions"): torch.randn(2, 2, generator=draw),
        }
        network.add_task(4, [], EnsembleHead(weights, torch.zeros(2), {0: 0.5, 3: 0.5}))
        made.append(network.eval())
    return made


def replace_spec(spec, resident):
    return spec.model_copy(update={"resident": resident})


def test_answers_copies_and_extracts_are_the_same(networks):
    whole, small = networks
    x = torch.rand(6, 3)
    for task in range(5):
        assert torch.equal(small(x, task), whole(x, task))
        assert torch.equal(small.for_task(task)(x), whole.for_task(task)(x))
        assert torch.equal(copy.deepcopy(small)(x, task), whole(x, task))
        assert small.usage(x, task) == whole.usage(x, task)
    assert [len(layer.pool.resident_ids) for layer in small.moe_layers] == [1, 1]


def test_looking_at_what_an_answer_depends_on_brings_nothing_back(networks):
    whole, small = networks
    for task in range(5):
        before = [list(layer.pool.resident_ids) for layer in small.moe_layers]
        digests = [
            [module_digest(p) for p in network.depends_on(task) if isinstance(p, nn.Module)]
            for network in (small, whole)
        ]
        assert digests[0]
        assert digests[0] == digests[1]
        assert [list(layer.pool.resident_ids) for layer in small.moe_layers] == before


def test_from_a_gpu_experts_wait_in_main_memory(monkeypatch):
    """As if there were one: nothing is written, and the numbers come back all the same."""
    monkeypatch.setattr(OffloadStore, "_written", lambda self, digest, data: data)
    pool = pool_of(3, resident=1, make=Odd)
    wanted = [module_digest(part) for part in pool.experts.values()]
    assert [module_digest(pool[id_]) for id_ in pool.ids] == wanted
    assert files(pool) == []
    assert isinstance(pool.experts["e0"].kept[0], torch.Tensor)
