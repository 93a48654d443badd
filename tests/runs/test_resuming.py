"""A run that was stopped and resumed equals one that was not: rows, events, final parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cl_moe import catalog
from cl_moe.runs import single
from cl_moe.runs.checkpoint import Checkpoints
from cl_moe.runs.plan import CheckpointPlan, RunResult, Streams, StudyPlan
from cl_moe.runs.planning import make_plan
from cl_moe.runs.store import StudyFolder
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

METHODS = sorted(catalog.names("method"))
MIXTURES: dict[str, dict[str, Any]] = {
    "limited": {
        "max_experts": 1,
        "growth_options": {"kinds": ["copy"], "protect": "ewc", "train_from": 8},
    },
    "fixed": {"growth": "fixed", "experts": 2, "gate": "task_conditioned"},
    "mntdp": {"growth": "mntdp"},
    "shortlist": {"growth_options": {"shortlist": 2, "train_from": 8}},
}


class Stopped(Exception):  # noqa: N818 - not an error
    """Stands for the death of the process."""


def task(position: int) -> Task:
    draw = torch.Generator().manual_seed(position)
    centres = 2.0 * torch.randn(3, 6, generator=draw)

    def data(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.arange(size) % 3
        return centres[y] + torch.randn(size, 6, generator=draw), y

    return Task(f"task{position}", data(70), data(30), ["a", "b", "c"])


STREAM = TaskStream([task(0), task(1), task(2)], "three", probes=[task(3)])


def plan_of(method: dict[str, Any], folder: Path | None, **options: Any) -> StudyPlan:
    training = {"epochs": 3, "batch_size": 16, "min_steps": 0, **options}
    network = {"hidden": [7, 5]}
    plan = make_plan(STREAM, [method], seeds=1, network=network, training=training)
    if folder is None:
        return plan
    where = StudyFolder(folder)
    where.begin_checkpoints("token-0", [])
    return replace(plan, checkpoints=CheckpointPlan(folder, "token-0", steps=4))


def run(plan: StudyPlan, monkeypatch: pytest.MonkeyPatch) -> tuple[RunResult, dict[str, Any]]:
    """Return the result of a run, and the tensors of its final model."""
    (job,), found = plan.jobs(), {}
    result_of = single._Run.result

    def result(self: Any, model: Path | None) -> RunResult:
        state = self._strategy.model.state_dict().items()
        found.update({n: value.clone() for n, value in state if isinstance(value, torch.Tensor)})
        return result_of(self, model)

    with monkeypatch.context() as patch:
        patch.setattr(single._Run, "result", result)
        outcome = single.run_one(plan, job, Streams(plan)(job), lambda _: None)
    return outcome, found


def stopping(monkeypatch: pytest.MonkeyPatch, count: int) -> pytest.MonkeyPatch:
    """Let the process die after that many checkpoints."""
    write, left = Checkpoints._write, [count]

    def dying(self: Checkpoints, *args: Any) -> None:
        write(self, *args)
        left[0] -= 1
        if left[0] == 0:
            self.flush()
            raise Stopped

    monkeypatch.setattr(Checkpoints, "_write", dying)
    return monkeypatch


def checkpoints_of(plan: StudyPlan, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the number of checkpoints of a run that is not stopped."""
    write, counted = Checkpoints._write, []

    def counting(self: Checkpoints, *args: Any) -> None:
        counted.append(args)
        write(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_write", counting)
        run(plan, monkeypatch)
    return len(counted)


def stops(every: int) -> list[int]:
    """Return the checkpoints to stop at: in a task, between tasks, in a probe."""
    return sorted({every * share // 6 or 1 for share in (1, 3, 4, 6)})


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def require_same_when_stopped(
    method: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> int:
    """Stop a run after some of its checkpoints; return how many there are."""
    whole, parameters = run(plan_of(method, None, **options), monkeypatch)
    every = checkpoints_of(plan_of(method, tmp_path, **options), monkeypatch)
    for count in stops(every):
        folder = tmp_path / str(count)
        folder.mkdir()
        plan = plan_of(method, folder, **options)
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            run(plan, stopping(patch, count))
        again, tensors = run(plan, monkeypatch)
        assert again.rows == whole.rows, count
        assert timeless(again.events) == timeless(whole.events), count
        assert len(again.timings) == len(whole.timings)
        assert tensors.keys() == parameters.keys()
        for name, value in parameters.items():
            assert torch.equal(tensors[name], value), (count, name)
    return every


@pytest.mark.parametrize("name", METHODS)
def test_every_method_continues_bit_for_bit(name, tmp_path, monkeypatch):
    count = require_same_when_stopped({"type": name}, tmp_path, monkeypatch)
    assert count >= 3


@pytest.mark.parametrize("name", MIXTURES)
def test_every_mixture_continues_bit_for_bit(name, tmp_path, monkeypatch):
    method = {"type": "moe", **MIXTURES[name]}
    assert require_same_when_stopped(method, tmp_path, monkeypatch) >= 3


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("name", ["dense", "moe", "replay"])
def test_every_optimizer_continues_bit_for_bit(name, optimizer, tmp_path, monkeypatch):
    options = {"optimizer": optimizer, "learning_rate": 0.01, "weight_decay": 0.01}
    assert require_same_when_stopped({"type": name}, tmp_path, monkeypatch, **options) >= 3
