"""The learning rate of each step of a task, in training and in the trials of decisions."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import nn

from cl_moe.runs.plan import Streams
from cl_moe.runs.planning import make_plan
from cl_moe.runs.single import run_one
from cl_moe.schedules import factor_at, scaled
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

STEPS = 40


def xor(seed: int) -> Task:
    """Return a task of 128 rows that no linear map of the inputs solves."""
    x = torch.randn(256, 4, generator=torch.Generator().manual_seed(seed))
    turned = x @ torch.linalg.qr(x[:4])[0]
    y = (x[:, 0] * x[:, 1] > 0).long()
    halves = (turned[:128], y[:128]), (turned[128:], y[128:])
    return Task(f"xor{seed}", *halves, ("no", "yes"))


def rates_of(
    monkeypatch: pytest.MonkeyPatch, method: str, schedule: str
) -> tuple[list[float], Any]:
    """Return the learning rate of each optimizer step of a run of two tasks, and the events."""
    training = {"epochs": 10, "batch_size": 32, "min_steps": 0, "optimizer": "sgd"}
    training |= {"schedule": schedule, "learning_rate": 0.5}
    stream = TaskStream([xor(0), xor(1)], "two")
    plan = make_plan(stream, [method], seeds=1, network={"hidden": [16]}, training=training)
    rates: list[float] = []
    step = torch.optim.SGD.step

    def noting(self: torch.optim.SGD, *args: object, **named: object) -> object:
        rates.extend({group["lr"] for group in self.param_groups})
        return step(self, *args, **named)

    monkeypatch.setattr(torch.optim.SGD, "step", noting)
    (job,) = plan.jobs()
    result = run_one(plan, job, Streams(plan)(job), lambda _: None)
    return rates, result.events


def cycle() -> list[float]:
    return [0.5 * factor_at("one_cycle", step, STEPS) for step in range(STEPS)]


def test_one_cycle_rises_and_falls():
    factors = [factor_at("one_cycle", step, 100) for step in range(100)]
    assert factors[:26] == sorted(factors[:26])
    assert factors[25:] == sorted(factors[25:], reverse=True)
    assert 0 < min(factors) < 0.01 < 0.03 < factors[0] < max(factors) == 1


def test_steps_after_the_planned_ones_do_not_raise_the_rate_again():
    assert factor_at("one_cycle", 150, 100) == 0


def test_groups_have_their_own_rates_again_when_a_step_fails():
    one, two = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [one], "lr": 0.2}, {"params": [two], "lr": 0.4}])
    with scaled(optimizer, 0.5):
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]
    with contextlib.suppress(ZeroDivisionError), scaled(optimizer, 0.5):
        raise ZeroDivisionError
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.4]


@pytest.mark.parametrize("method", ["dense", "joint", "single_task", "packnet"])
def test_each_training_has_one_cycle(method, monkeypatch):
    rates, _ = rates_of(monkeypatch, method, "one_cycle")
    trainings = [rates[:STEPS], rates[STEPS:]] if method != "joint" else [rates[::2]]
    assert all(rates == pytest.approx(cycle()) for rates in trainings)


def test_the_rate_is_constant_by_default(monkeypatch):
    assert set(rates_of(monkeypatch, "dense", "constant")[0]) == {0.5}


def test_a_trial_begins_the_cycle_that_the_training_of_its_path_ends(monkeypatch):
    rates, events = rates_of(monkeypatch, "moe", "one_cycle")
    assert [event["learned"] for event in events] == [0, STEPS // 2]
    assert rates == pytest.approx(cycle() + cycle())
