"""What the benchmark of the training loop compares does the same work."""

from __future__ import annotations

import pytest
import torch

from benchmarks.training_loop import Bare, Setting, avalanche, ours, trained, variants, watched
from cl_moe.runs.randomness import isolated, seed_all


@pytest.fixture
def setting():
    return Setting.random(batch_size=8, rows=60, dim=6, tests=20, hidden=(5, 4))


def test_every_variant_trains(setting):
    with isolated(threads=1):
        seed_all(0)
        for name, train in variants(setting).items():
            train()
            if isinstance(train, Bare) and "," in name:
                assert 0 <= train.accuracy < 1 < train.loss < 4


def test_the_bare_loop_and_ours_end_with_the_same_parameters(setting):
    strategy, bare = ours(setting, records=True), Bare(setting, records=True)
    train = trained(strategy, setting)
    with isolated(threads=1):
        train()  # makes the head
        network = strategy.model.network
        mine = [*network.trunk.parameters(), *network.heads.parameters()]
        theirs = list(bare.model.parameters())
        for parameter, other in zip(theirs, mine, strict=True):
            parameter.data.copy_(other)
        for step in (train, bare):
            seed_all(0)
            step()
    assert all(map(torch.equal, mine, theirs))
    recorded = strategy.evaluator.get_last_metrics()
    accuracy, loss = (v for k, v in recorded.items() if k.startswith(("Top1_Acc_E", "Loss_E")))
    assert accuracy == pytest.approx(bare.accuracy)
    assert loss == pytest.approx(bare.loss)


def test_naive_ends_with_the_same_parameters_with_and_without_tensors(setting):
    ends = []
    for quick in (False, True):
        with isolated(threads=1):
            seed_all(0)
            strategy = avalanche(setting, quick=quick)
            trained(strategy, setting)()
        ends.append(list(strategy.model.parameters()))
    assert all(map(torch.equal, *ends))


def test_a_run_records_accuracy_on_test_rows(setting):
    strategy = ours(setting)
    with isolated(threads=1):
        watched(strategy, setting)()
    assert len(strategy.model.network.heads) == 1
