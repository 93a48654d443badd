"""The benchmark of small tasks measures one step and one evaluation a task, part by part."""

from __future__ import annotations

import time

import torch

from benchmarks.small_tasks import PARTS, Stopwatch, build, measure, small_stream


def test_every_part_of_every_task_is_measured_with_ten_experts():
    torch.manual_seed(0)
    strategy, stream = build(dim=6, hidden=(5,)), small_stream(3, dim=6)
    found = measure(strategy, stream)
    assert set(found) == {"in all", "fingerprints", *PARTS}
    assert all(len(values) == 3 for values in found.values())
    assert all(value > 0 for part in PARTS for value in found[part])
    assert [len(layer.pool) for layer in strategy.model.network.moe_layers] == [10]
    assert strategy.clock.train_iterations == 3


def test_a_stopwatch_adds_up_and_leaves_nothing_behind():
    class Sleeper:
        def nap(self):
            end = time.process_time() + 0.01
            while time.process_time() < end:
                pass
            return "awake"

    sleeper = Sleeper()
    watch = Stopwatch(sleeper, ["nap"])
    with watch.on():
        assert [sleeper.nap(), sleeper.nap()] == ["awake", "awake"]
    sleeper.nap()
    assert 0.02 <= watch.seconds["nap"] < 0.2
    assert vars(sleeper) == {}
