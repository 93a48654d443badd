"""The benchmark of the whole command lets both sides do the same work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks import _permuted_mnist as by_hand
from benchmarks.command import Cost, scenario, spend
from cl_moe.streams.scenario import load_scenario


def test_the_scenario_is_what_the_script_learns(tmp_path: Path) -> None:
    (tmp_path / "permuted.toml").write_text(scenario(by_hand.TASKS), encoding="utf-8")
    spec = load_scenario(tmp_path / "permuted.toml")
    assert len(spec.task_specs()) == by_hand.TASKS
    assert spec.seeds == 1
    assert spec.network.hidden == [by_hand.HIDDEN] * 2
    assert (spec.training.batch_size, spec.training.epochs) == (by_hand.BATCH, 1)
    assert (spec.training.optimizer, spec.training.learning_rate) == ("adam", by_hand.RATE)
    assert spec.training.eval_batch_size == by_hand.TEST_BATCH


def test_the_script_tests_every_task_that_it_has_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(600) % 10
    x = torch.nn.functional.one_hot(y, 784).float() + torch.rand(600, 784, generator=generator) / 9
    found = by_hand.learn((x, y), (x[:512], y[:512]))
    assert [len(row) for row in found] == [1, 2, 3]
    assert all(0 <= value <= 1 for row in found for value in row)


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        spend([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
    done = spend([sys.executable, "-c", "sum(range(3_000_000))"], tmp_path)
    assert isinstance(done, Cost)
    assert done.cpu > 0.005
