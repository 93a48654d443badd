from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cl_moe
from cl_moe.errors import InputError
from cl_moe.runs.engines.choice import open_engine
from cl_moe.runs.engines.local import ProcessEngine, _Worker
from cl_moe.runs.plan import Failure, Job, Streams, StudyPlan
from cl_moe.runs.planning import make_plan
from cl_moe.runs.study import run_plan
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task


def failures(plan: StudyPlan, processes: int) -> dict[str, Failure]:
    """Run a plan of which nothing succeeds."""
    found = {}
    engine = open_engine(plan, Streams(plan), processes, None, lambda _: None)
    with contextlib.closing(engine):
        for job, outcome in engine.run(plan.jobs()):
            assert isinstance(outcome, Failure)
            found[job.method.name] = outcome
    return found


def test_a_process_that_dies_costs_its_own_run_alone(
    stream: TaskStream, misbehaving: str, tmp_path: Path
) -> None:
    once = {"type": f"{misbehaving}:crash_once", "marker": str(tmp_path / "crashed")}
    names = ("crash", "refuse", "fail")
    plan = make_plan(stream, [once, *(f"{misbehaving}:{name}" for name in names)], seeds=1)
    found = failures(plan, processes=2)
    assert [name for name, failure in found.items() if failure.crashed] == ["crash"]
    assert "exit code 3" in found["crash"].traceback
    assert "last words" in found["crash"].traceback
    assert "ZeroDivisionError: second time" in found["crash_once"].traceback
    assert "ZeroDivisionError: a bug in a method" in found["fail"].traceback
    assert found["refuse"].problems == ("one", "two")


def test_this_process_reports_alike(stream: TaskStream, misbehaving: str) -> None:
    plan = make_plan(stream, [f"{misbehaving}:{name}" for name in ("refuse", "fail")], seeds=1)
    found = failures(plan, processes=1)
    assert found["refuse"].problems == ("one", "two")
    assert "ZeroDivisionError: a bug in a method" in found["fail"].traceback


class Unloadable:
    """Data that can be sent, and not be received."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.data[index]

    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_data_that_cannot_be_received(stream: TaskStream, misbehaving: str) -> None:
    tasks = [Task("t", Unloadable(stream[0].train), stream[0].test, stream[0].classes)]  # type: ignore[arg-type]
    plan = make_plan(TaskStream(tasks), [f"{misbehaving}:fail"], seeds=2)
    with contextlib.closing(ProcessEngine(plan, 2, lambda _: None)) as pool:
        outcomes = list(pool.run(plan.jobs()))
    assert len(outcomes) == 2
    assert all("no number" in outcome.traceback for _, outcome in outcomes)  # type: ignore[union-attr]


def test_data_that_cannot_be_sent(stream: TaskStream) -> None:
    class Local(Unloadable):
        def __reduce__(self) -> Any:
            return object.__reduce__(self)

    tasks = [Task("t", Local(stream[0].train), stream[0].test, stream[0].classes)]  # type: ignore[arg-type]
    plan = make_plan(TaskStream(tasks), ["dense"], seeds=2)
    with pytest.raises(InputError, match="use jobs=1"):
        open_engine(plan, Streams(plan), 2, None, lambda _: None)


def test_the_longest_runs_are_started_first_and_rows_do_not_tell(
    stream: TaskStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    send = _Worker.start

    def note(self: _Worker, job: Job, tries: int) -> None:
        started.append(job.method.name)
        send(self, job, tries)

    monkeypatch.setattr(_Worker, "start", note)
    methods = ["nearest_mean", "dense", "joint"]
    plan = make_plan(stream, methods, seeds=2, training={"epochs": 1, "min_steps": 2})
    two = run_plan(plan, jobs=2, out=tmp_path / "two", progress=False)
    assert started == [name for name in reversed(methods) for _ in plan.seeds]
    one = run_plan(plan, jobs=1, out=tmp_path / "one", progress=False)
    assert two.rows.equals(one.rows)


def test_a_run_whose_process_died_continues_from_its_checkpoint(
    stream: TaskStream, misbehaving: str, tmp_path: Path
) -> None:
    log = tmp_path / "tasks"
    dying = {"type": f"{misbehaving}:die_late", "name": "dense", "marker": str(log)}
    how: dict[str, Any] = {"seeds": 1, "progress": False, "training": {"epochs": 2, "min_steps": 4}}
    study = cl_moe.run(stream, [dying], jobs=2, out=tmp_path / "study", **how)
    assert log.read_text() == "0112", "tasks 0, 1 until the end of the process, 1 again, the probe"
    assert not (tmp_path / "study" / "checkpoints").exists()
    whole = cl_moe.run(stream, ["dense"], **how)
    pd.testing.assert_frame_equal(study.rows, whole.rows)
