"""A run that was stopped and resumed equals one that was not: rows, events, final parameters."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import cl_moe
from cl_moe import InputError, StudyError, catalog
from cl_moe.runs import single
from cl_moe.runs.checkpoints.checkpoint import Checkpoints, Saved
from cl_moe.runs.checkpoints.resuming import collecting_later
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.plan import CheckpointPlan, RunResult, Streams, StudyPlan
from cl_moe.runs.planning import make_plan
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
    "grown": {"growth_options": {"kinds": ["copy", "fresh"]}},
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


def xor(position: int) -> Task:
    """Return a task that no linear map of the inputs, or of another task's features, solves."""
    draw = torch.Generator().manual_seed(position)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=draw))[0]

    def data(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(size, 6, generator=draw)
        return x @ rotation, (x[:, 0] * x[:, 1] > 0).long()

    return Task(f"xor{position}", data(200), data(50), ["no", "yes"])


STREAM = TaskStream([task(0), task(1), task(2)], "three", probes=[task(3)])


def plan_of(method: dict[str, Any], folder: Path | None, **options: Any) -> StudyPlan:
    training = {"epochs": 3, "batch_size": 16, "min_steps": 0, **options}
    network = {"hidden": [7, 5]}
    plan = make_plan(STREAM, [method], seeds=1, network=network, training=training)
    if folder is None:
        return plan
    where = StudyFolder(folder)
    where.begin_checkpoints("token-0", "a study", [])
    return replace(plan, checkpoints=CheckpointPlan(folder, "token-0", steps=4))


def run(plan: StudyPlan, monkeypatch: pytest.MonkeyPatch) -> tuple[RunResult, dict[str, Any]]:
    """Return the result of a run, and the tensors of its final model."""
    (job,), found = plan.jobs(), {}
    result_of = single._Run.result

    def result(self: Any, model: Path | None) -> RunResult:
        state = self._strategy.model.state_dict().items()
        found.update({n: value.clone() for n, value in state if isinstance(value, torch.Tensor)})
        found["events"] = timeless(getattr(self._strategy, "events", []))
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


def checkpoints_of(plan: StudyPlan, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Return the checkpoints of a run that is not stopped: finished stages, whether within one."""
    write, found = Checkpoints._write, []

    def noting(self: Checkpoints, stage: int, state: Any, within: Any, log: Any) -> None:
        found.append((stage, within is not None))
        write(self, stage, state, within, log)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_write", noting)
        run(plan, monkeypatch)
    return found


def stops(every: list[tuple[int, bool]]) -> list[int]:
    """Return the checkpoints to stop at, counted from 1.

    In the last epoch of the first task, and after it; in the first epoch of the second; in the
    probe.
    """
    wanted = [(1, False), (1, True), (max(every)[0] - 1, True)]
    found = {every.index(kind) + 1 for kind in wanted if kind in every}
    last = [number for number, kind in enumerate(every, start=1) if kind == (0, True)]
    return sorted(found | {*last[-1:]})


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def require_same_when_stopped(
    method: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> int:
    """Stop a run after some of its checkpoints; return at how many."""
    whole, parameters = run(plan_of(method, None, **options), monkeypatch)
    events = parameters.pop("events")
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
        assert tensors.pop("events") == events
        assert tensors.keys() == parameters.keys()
        for name, value in parameters.items():
            assert torch.equal(tensors[name], value), (count, name)
    return len(stops(every))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_continues_bit_for_bit(name, tmp_path, monkeypatch):
    few = {"joint": 3, "moe": 2, "ridge": 1, "nearest_mean": 1}  # moe: an ensemble has no steps
    count = require_same_when_stopped({"type": name}, tmp_path, monkeypatch)
    assert count == few.get(name, 4)


@pytest.mark.parametrize("name", MIXTURES)
def test_every_mixture_continues_bit_for_bit(name, tmp_path, monkeypatch):
    method = {"type": "moe", **MIXTURES[name]}
    count = require_same_when_stopped(method, tmp_path, monkeypatch)
    assert count == (2 if name == "shortlist" else 4)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("name", ["dense", "single_task", "replay"])
def test_every_optimizer_continues_bit_for_bit(name, optimizer, tmp_path, monkeypatch):
    options = {
        "optimizer": optimizer,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "schedule": "one_cycle",
    }
    assert require_same_when_stopped({"type": name}, tmp_path, monkeypatch, **options) == 4


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_a_decision_whose_training_is_kept_continues_bit_for_bit(schedule, tmp_path, monkeypatch):
    """The decision is made again before the rest of the task's steps."""
    monkeypatch.setattr(f"{__name__}.STREAM", TaskStream([xor(k) for k in range(3)], "xor"))
    method = {"type": "moe", "growth_options": {"train_from": 8}}
    options = {"epochs": 30, "optimizer": "adam", "learning_rate": 0.02, "schedule": schedule}
    whole, _ = run(plan_of(method, None, **options), monkeypatch)
    assert any(event["learned"] for event in whole.events), "a trial of grown experts wins"
    assert require_same_when_stopped(method, tmp_path, monkeypatch, **options) >= 3


def test_the_time_before_the_stop_counts(tmp_path, monkeypatch):
    plan = plan_of({"type": "dense"}, tmp_path)
    (tmp_path / "other").mkdir()
    every = checkpoints_of(plan_of({"type": "dense"}, tmp_path / "other"), monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        run(plan, stopping(patch, every.index((1, True)) + 1))
    load = Checkpoints.load

    def older(self: Checkpoints) -> Saved | None:
        saved = load(self)
        assert saved is not None
        assert saved.within is not None
        saved.within.plain["clock"][:] = [1000.0, 500.0]
        return saved

    monkeypatch.setattr(Checkpoints, "load", older)
    again, _ = run(plan, monkeypatch)
    late = [timing["after_task"] for timing in again.timings if timing["train_seconds"] > 900]
    assert late == [1]


def test_a_process_that_outlives_its_driver_writes_no_more(tmp_path, monkeypatch):
    plan = plan_of({"type": "dense"}, tmp_path)
    write, stages = Checkpoints._write, []

    def ending(self: Checkpoints, *args: Any) -> None:
        write(self, *args)
        stages.append(args[0])
        if len(stages) == 3:
            StudyFolder(tmp_path).end_checkpoints("token-0")

    monkeypatch.setattr(Checkpoints, "_write", ending)
    run(plan, monkeypatch)
    assert len(stages) == 3


def test_a_run_that_starts_after_its_driver_ended_leaves_the_checkpoints_alone(
    tmp_path, monkeypatch
):
    plan = plan_of({"type": "dense"}, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        run(plan, stopping(patch, 3))
    left = {path: path.read_bytes() for path in tmp_path.rglob("checkpoint-*.json")}
    assert left
    StudyFolder(tmp_path).end_checkpoints("token-0")
    run(plan, monkeypatch)
    assert {path: path.read_bytes() for path in tmp_path.rglob("checkpoint-*.json")} == left


SCENARIO = """
name = "changing"
seeds = 1
[sources.mine]
type = "csv"
path = "mine.csv"
label = "y"
[[tasks]]
name = "a"
source = "mine"
[[tasks]]
name = "b"
source = "mine"
[network]
hidden = [4]
[training]
epochs = {epochs}
min_steps = 0
[[methods]]
name = "dense"
"""


def table(shift: int) -> str:
    rows = [f"{k % 7 + shift},{k % 5},{'uv'[k % 2]}" for k in range(40)]
    return "\n".join(["p,q,y", *rows]) + "\n"


@pytest.mark.parametrize("change", ["data", "epochs", "nothing"])
def test_a_run_is_not_continued_with_other_data_or_settings(change, tmp_path, monkeypatch):
    """The first run of a study is stopped, so that no whole run tells what the study was."""
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text(table(0))
    Path("s.toml").write_text(SCENARIO.format(epochs=2))
    how = {"out": "study", "checkpoint_steps": 1, "progress": False}
    with monkeypatch.context() as patch:
        stopping(patch, 4)
        patch.setattr(StudyFolder, "forget_checkpoints", lambda *_: None)
        with pytest.raises(StudyError, match="Stopped"):
            cl_moe.run("s.toml", **how)
    assert list(Path("study/checkpoints").glob("dense-seed_0/checkpoint-*.json"))
    if change == "data":
        Path("mine.csv").write_text(table(1))
    Path("s.toml").write_text(SCENARIO.format(epochs=3 if change == "epochs" else 2))
    loaded: list[Any] = []
    load = Checkpoints.load
    monkeypatch.setattr(Checkpoints, "load", lambda self: loaded.append(load(self)) or loaded[-1])
    again = cl_moe.run("s.toml", **how)
    assert [saved is not None for saved in loaded] == [change == "nothing"]
    assert again.rows.equals(cl_moe.run("s.toml", progress=False).rows)


DROPPING = """
from torch import nn

from cl_moe.strategies.methods.base import sequential
from cl_moe.strategies.networks import dense_network


def dropping(context, /):
    network = dense_network(context)
    network.trunk = nn.Sequential(network.trunk, nn.Dropout(0.5))
    return sequential(context, network)
"""


def test_random_numbers_within_an_epoch_continue(tmp_path, monkeypatch):
    (tmp_path / "parts.py").write_text(DROPPING)
    method = {"type": f"{tmp_path}/parts.py:dropping", "name": "dropping"}
    assert require_same_when_stopped(method, tmp_path, monkeypatch) == 4


COUNTING = """
from avalanche.core import SupervisedPlugin

from cl_moe.strategies.methods.base import sequential


class Counting(SupervisedPlugin):
    def __init__(self):
        super().__init__()
        self.batches = 0


def counting(context, /):
    return sequential(context, plugins=lambda: [Counting()])
"""


def test_of_a_method_whose_plugins_have_no_state_none_is_taken(tmp_path, monkeypatch):
    (tmp_path / "parts.py").write_text(COUNTING)
    taken = "cl_moe.training.stepping.training_state"
    monkeypatch.setattr(taken, lambda _: pytest.fail("it would not be kept"))
    plan = plan_of({"type": f"{tmp_path}/parts.py:counting", "name": "counting"}, tmp_path)
    assert checkpoints_of(plan, monkeypatch) == []


STUMBLING = """
import errno

from avalanche.core import SupervisedPlugin

from cl_moe.strategies.methods.base import sequential

ERRORS = {"bug": ZeroDivisionError("a bug"), "disk": OSError(errno.ENOSPC, "No space", "x")}


def stumbling(context, /, *, kind: str):
    class Stumbling(SupervisedPlugin):
        def before_training_exp(self, strategy, **_):
            if strategy.clock.train_exp_counter == 1:
                raise ERRORS[kind]

    return sequential(context, plugins=lambda: [Stumbling()])
"""


@pytest.mark.parametrize("kind", ["bug", "disk"])
def test_a_run_continues_after_a_full_disk_and_begins_again_after_a_bug(
    kind, tmp_path, monkeypatch
):
    """A bug may have been mended: what it did before is not mixed with what it does now."""
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(STUMBLING)
    method = {"type": "parts.py:stumbling", "name": "m", "kind": kind}
    with pytest.raises((StudyError, InputError)):
        cl_moe.run(STREAM, [method], seeds=1, out="study", progress=False)
    left = list(Path("study").glob("checkpoints/m-seed_0/checkpoint-*.json"))
    assert bool(left) == (kind == "disk")


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_after_a_checkpoint_even_a_failed_one(enabled):
    (gc.enable if enabled else gc.disable)()
    seen: list[bool] = []

    def failing() -> None:
        with collecting_later():
            seen.append(gc.isenabled())
            raise Stopped

    try:
        with pytest.raises(Stopped):
            failing()
        assert [*seen, gc.isenabled()] == [False, enabled]
    finally:
        gc.enable()
