from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from cl_moe.runs.estimates.calibration import Machine, calibrate
from cl_moe.runs.estimates.cost_model import MethodCost, Spread
from cl_moe.runs.estimates.estimate import Work, estimate, makespan, run_seconds, work_of
from cl_moe.runs.plan import Streams
from cl_moe.runs.planning import make_plan
from cl_moe.runs.single import run_one
from cl_moe.streams.sizes import scenario_sizes
from cl_moe.streams.stream import TaskStream

NOTHING = Machine(*[0.0] * 9)
WORK = Work(tasks=4, probes=1, epochs=8, steps=40, rows=1000, test=400, curves=(24, 2400), data=0)


def test_the_work_is_what_a_dense_network_does() -> None:
    """Steps are counted by a real run, test rows by its evaluations."""
    plan = make_plan("digits_quick", ["dense"], seeds=1, training={"epochs": 2, "min_steps": 15})
    result = run_one(plan, plan.jobs()[0], Streams(plan)(plan.jobs()[0]), lambda _: None)
    work = work_of(scenario_sizes(plan.source), plan.training)  # type: ignore[arg-type]
    assert work.steps == sum(row["value"] for row in result.rows if row["metric"] == "steps")
    curve = [row for row in result.rows if row["epoch"] is not None]
    assert work.curves[0] == len(curve)
    assert work.tasks == len(plan.task_names())


@pytest.mark.parametrize(
    ("constant", "again", "seconds"),
    [
        ("task", 1.0, 5.0),
        ("epoch", 1.0, 8.0),
        ("step", 1.0, 40.0),
        ("row", 1.0, 1000.0),
        ("test", 1.0, 1 + 2 + 3 + 4 + 24),  # all that are seen, and the curves
        ("test", 0.0, 4 + 24),  # each task once
        ("test_row", 1.0, (1 + 2 + 3 + 4) * 100 + 2400),
        ("recheck", 1.0, 0.0),
        ("recheck", 0.0, 0 + 1 + 2 + 3),
    ],
)
def test_each_constant_is_paid_as_often_as_it_occurs(
    constant: str, again: float, seconds: float
) -> None:
    machine = replace(NOTHING, **{constant: 1.0})
    assert run_seconds(WORK, MethodCost(again=again), machine).mid == seconds


def test_earlier_tasks_are_evaluated_after_every_so_many() -> None:
    work = replace(WORK, every=2, curves=(0, 0))
    assert run_seconds(work, MethodCost(again=1.0), replace(NOTHING, test=1.0)).mid == 4 + 6 / 2
    spec = make_plan("thousand_tasks").training
    assert work_of([], spec).every == spec.evaluate_every > 1


def test_joint_training_is_evaluated_once() -> None:
    machine = replace(NOTHING, test=1.0)
    assert run_seconds(WORK, MethodCost(), machine, joint=True).mid == WORK.tasks


def test_methods_multiply_training_alone() -> None:
    cost = MethodCost(training=Spread(1.0, 2.0, 3.0))
    found = run_seconds(WORK, cost, replace(NOTHING, step=1.0, task=1.0))
    assert (found.low, found.mid, found.high) == (45.0, 85.0, 125.0)


def test_runs_are_shared_out_longest_first() -> None:
    runs = [5.0, 4.0, 3.0, 3.0, 3.0]
    assert makespan(runs, 1) == 18.0
    assert makespan(runs, 2) == 10.0
    assert makespan(runs, 5) == 5.0
    assert all(makespan(list(order), 2) == 10.0 for order in itertools.permutations(runs))


def test_what_is_measured_here_is_of_the_network_that_is_asked_for(stream: TaskStream) -> None:
    plan = make_plan(stream, ["dense"], seeds=1, network={"hidden": [8]})
    small = calibrate(plan, (6,), 2)
    large = calibrate(make_plan(stream, ["dense"], seeds=1, network={"hidden": [16]}), (6,), 2)
    assert small.parameters < large.parameters
    assert small.step + small.row > 0
    assert small.memory > 2**27, "torch alone is larger"


def test_a_study_counts_runs_experts_and_processes(stream: TaskStream) -> None:
    grid = {"name": "tuned", "type": "ewc", "grid": {"strength": [1.0, 10.0]}}
    plan = make_plan(stream, ["single_task", grid, {"type": "moe", "growth": "mntdp"}], seeds=3)
    one = estimate(plan, jobs=1)
    single_task, tuned, mntdp = one.methods
    assert (single_task.runs, tuned.runs) == (3, 5)
    assert single_task.experts is not None
    assert single_task.experts.low == len(stream)
    assert tuned.experts is None
    assert mntdp.experts is not None
    assert one.seconds.low <= one.seconds.mid <= one.seconds.high
    assert one.memory == max(method.memory for method in one.methods)
