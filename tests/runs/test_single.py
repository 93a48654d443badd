"""A run has the rows of one that evaluates every task after every task, and evaluates less."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl_moe import catalog
from cl_moe.runs.plan import RunResult, Streams
from cl_moe.runs.planning import make_plan
from cl_moe.runs.single import run_one
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training import evaluation
from cl_moe.training.fingerprint import Fingerprints

REASSIGNING = {"type": "moe", "max_experts": 1, "growth_options": {"kinds": ["copy"]}}


def checkers(position: int, n: int) -> Task:
    """Return a task that only what is trained answers, and for each position something else."""
    draw = torch.Generator().manual_seed(position)

    def data(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.rand(size, 3, generator=draw)
        return x, ((3 * x + position / 2).floor().sum(1) % 2).long()

    return Task(f"task{position}", data(n), data(20), ["even", "odd"])


def stream_of(tasks: int, n: int = 24) -> TaskStream:
    """Return a stream of tasks of n rows each, and a probe."""
    made = [checkers(position, n) for position in range(tasks + 1)]
    return TaskStream(made[:tasks], name="checkers", probes=made[tasks:])


def run(
    stream: TaskStream,
    method: dict[str, Any],
    curves: bool = True,
    *,
    network: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
) -> RunResult:
    """Run one method once."""
    plan = make_plan(
        stream,
        [method],
        seeds=1,
        network={"hidden": [6], **(network or {})},
        training={"epochs": 2, "min_steps": 0, **(training or {})},
        curves=curves,
    )
    (job,) = plan.jobs()
    return run_one(plan, job, Streams(plan)(job), lambda _: None)


def fully(monkeypatch: pytest.MonkeyPatch, *given: Any) -> RunResult:
    """Run as :func:`run`, and evaluate everything every time."""
    with monkeypatch.context() as patch:
        patch.setattr(Fingerprints, "of", lambda self, task: None)
        return run(*given)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The labels of the tasks, as they are evaluated."""
    seen: list[int] = []
    original = evaluation._count

    def count(strategy: Any, known: list[Any]) -> Any:
        seen.extend(experience.task_labels[0] for experience in known)
        return original(strategy, known)

    monkeypatch.setattr(evaluation, "_count", count)
    return seen


@pytest.mark.parametrize("method", [*catalog.names("method"), "avalanche.training:Naive"])
def test_rows_are_those_of_evaluating_everything(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stream_of(3), {"name": "it", "type": method}
    rows = run(*given).rows
    assert repr(rows) == repr(fully(monkeypatch, *given).rows), "bit for bit, and nan is nan"
    assert {row["task"] for row in rows if row["after_task"] == 2} >= {"task0", "task1", "task2"}


def test_a_reassigned_expert_is_evaluated_again(
    monkeypatch: pytest.MonkeyPatch, evaluated: list[int]
) -> None:
    given = stream_of(2, n=200), {"name": "it", **REASSIGNING}, False
    result = run(*given)
    assert [event["kind"] for event in result.events][:2] == ["fresh", "reassign"]
    assert evaluated == [0, 0, 1, 2]
    losses = {
        row["after_task"]: row["value"]
        for row in result.rows
        if row["task"] == "task0" and row["metric"] == "loss"
    }
    assert losses[0] != losses[1]
    assert result.rows == fully(monkeypatch, *given).rows


@pytest.mark.parametrize(
    "method",
    [
        {"type": "single_task"},
        {"type": "moe"},
        {"type": "moe", "growth": "per_task"},
        {"type": "ridge"},
    ],
    ids=str,
)
def test_evaluations_grow_with_the_tasks_where_experts_are_frozen(
    method: dict[str, Any], evaluated: list[int]
) -> None:
    tasks = 6
    run(stream_of(tasks), {"name": "it", **method}, False)
    assert sorted(evaluated) == [*range(tasks), tasks], "each task once, and the probe"


def test_what_forgets_is_evaluated_after_every_task(evaluated: list[int]) -> None:
    run(stream_of(3), {"name": "it", "type": "dense"}, False)
    assert evaluated == [0, 0, 1, 0, 1, 2, 3]


@pytest.mark.parametrize("method", [{"type": "dense"}, {"type": "moe"}], ids=str)
def test_evaluating_every_so_many_tasks_leaves_rows_out_and_changes_none(
    method: dict[str, Any],
) -> None:
    given = stream_of(5), {"name": "it", **method}
    every, some = run(*given), run(*given, training={"evaluate_every": 2})
    wanted = [
        row
        for row in every.rows
        if row["metric"] not in ("accuracy", "loss")
        or row["epoch"] is not None
        or row["after_task"] in (1, 3, 4, 5)
        or row["task"] == f"task{row['after_task']}"
    ]
    assert some.rows == wanted
    assert len(wanted) < len(every.rows)


@pytest.mark.parametrize(
    "method",
    [{"type": "moe", "growth": "per_task"}, {"type": "moe"}, REASSIGNING],
    ids=["per task", "by relatedness", "reassigned"],
)
def test_a_budget_of_experts_at_hand_changes_no_row(method: dict[str, Any]) -> None:
    given = stream_of(4, n=80), {"name": "it", **method}
    layers = {"hidden": [6, 5], "layers": 2}
    whole, small = (run(*given, network={**layers, "resident": n}) for n in (None, 1))
    assert whole.rows == small.rows
    assert [e["sentence"] for e in whole.events] == [e["sentence"] for e in small.events]
