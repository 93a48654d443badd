"""The table of claims says what the studies say: results/claims.py and what it reads them with."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cl_moe import catalog, load_study
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.frames import ROW_COLUMNS, TASK_COLUMNS
from cl_moe.analysis.stats import Interval, intervals, paired
from cl_moe.streams.scenario import load_scenario
from cl_moe.streams.spec import TaskSpec

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"

sys.path.insert(0, str(RESULTS))  # as `python results/claims.py` has it
claims, measures, targets = map(importlib.import_module, ("claims", "measures", "targets"))

Accuracy = Callable[[str, int, int, str], float]
TASKS = [
    ("rich", "base", None),
    ("turned", "low_resource", "rotated input, low resource"),
    ("renamed", "low_resource", "permuted labels, low resource"),
    ("new", "low_resource", "new classes"),
    ("turned-too", "base", "rotated input"),
    ("far", "unrelated", "unrelated"),
    ("farther", "unrelated", "unrelated"),
]


def study(
    seeds: Mapping[str, Iterable[int]],
    accuracy: Accuracy,
    *,
    tasks: list[tuple[Any, ...]] = TASKS,
    probes: Iterable[tuple[str, str, int]] = (),
    costs: Mapping[tuple[str, str], float] | None = None,
) -> StudyData:
    """Return a study: methods with their seeds, accuracy(method, seed, after task, task).

    Probes are (name, group, size); costs of (method, metric) are those of each task.
    """
    names = [task[0] for task in tasks]
    table = [(i, n, g, None, r, 10, 10, 2, False) for i, (n, g, r) in enumerate(tasks)]
    last = len(table)
    table += [
        (last + i, f"{name}@{n}", group, None, None, n, 10, 2, True)
        for i, (name, group, n) in enumerate(probes)
    ]
    unseen = [row[1] for row in table[last:]]
    rows = []
    for method, own in seeds.items():
        for seed in own:
            for k in range(last):
                known = names if method == "joint" and k == last - 1 else names[: k + 1]
                rows += [
                    (method, seed, k, t, "accuracy", accuracy(method, seed, k, t)) for t in known
                ]
                rows += [
                    (method, seed, k, names[k], metric, value)
                    for (name, metric), value in (costs or {}).items()
                    if name == method
                ]
            rows += [
                (method, seed, last, t, "accuracy", accuracy(method, seed, last, t)) for t in unseen
            ]
    return StudyData(
        pd.DataFrame(rows, columns=list(ROW_COLUMNS)),
        pd.DataFrame(table, columns=list(TASK_COLUMNS)),
        pd.DataFrame({"method": list(seeds), "type": [name.split("-")[0] for name in seeds]}),
    )


def found(line: Any, **studies: StudyData | None) -> Any:
    return targets.evaluate(line, studies)


def line(measure: Any, target: Any = None, unit: str = "points") -> Any:
    return targets.Line(("here",), "what", measure, target, unit)


@pytest.mark.parametrize(
    ("target", "interval", "verdict"),
    [
        (("≥", 14), (15.0, 14.5, 15.5), "met by 1.0"),
        (("≥", 14), (15.0, 13.0, 17.0), "met by 1.0, not significant"),
        (("≥", 14), (-15.0, -16.0, -14.0), "missed by 29.0"),
        (("≥", -0.2), (-0.24, -0.25, -0.23), "missed by 0.04"),
        (("≥", 0), (0.0, 0.0, 0.0), "met by 0"),
        ((">", 0), (0.0, 0.0, 0.0), "missed by 0"),
        ((">", 0), (1.0, -1.0, 3.0), "met by 1.0, not significant"),
        ((">", 0, 0.0, True), (1.0, -1.0, 3.0), "missed by 1.0"),
        ((">", 0, 0.0, True), (2.0, 0.5, 3.5), "met by 0.5"),
        (("≤", -15), (-17.5, -18.0, -17.0), "met by 2.5"),
        (("≤", -15), (17.5, 17.0, 18.0), "missed by 32.5"),
        (("≤", 0.125), (float("inf"), float("nan"), float("nan")), "missed: not reached"),
        (("±", 97.7, 1.5), (99.4, 99.3, 99.5), "missed by 0.2"),
        (("±", 97.7, 1.5), (96.3, 96.25, 96.35), "met by 0.1"),
        (("≥", 1), (float("nan"), float("nan"), float("nan")), "open: undefined"),
    ],
)
def test_a_verdict_says_by_how_much(target: Any, interval: Any, verdict: str) -> None:
    assert targets.Target(*target).verdict(Interval(*interval, 5, "t")) == verdict


def test_one_seed_leaves_a_whole_interval_open() -> None:
    one = Interval(3.0, float("nan"), float("nan"), 1, "none")
    assert targets.Target(">", 0, whole=True).verdict(one).startswith("open")
    assert targets.Target(">", 0).verdict(one) == "met by 3.0"


def test_a_loss_where_a_gain_is_claimed_is_missed() -> None:
    worse = study(
        {"moe": range(3), "single_task": range(3)}, lambda m, *_: 0.5 if m == "moe" else 0.6
    )
    finding = found(line(measures.gain("single_task"), targets.Target("≥", 14)), here=worse)
    assert finding.found.mean == pytest.approx(-10)
    assert finding.verdict == "missed by 24.0"


def test_differences_are_of_the_seeds_that_both_have() -> None:
    data = study(
        {"moe": (0, 1, 2), "single_task": (1, 2, 3)},
        lambda m, s, *_: {"moe": (0.9, 0.5, 0.7), "single_task": (0, 0.4, 0.4, 0.1)}[m][s],
    )
    finding = found(line(measures.gain("single_task")), here=data)
    assert finding.found.mean == pytest.approx(20)  # 10 and 30
    assert (finding.found.low, finding.found.high) == pytest.approx((-107.06, 147.06), abs=0.01)
    assert "| 2 of 4 |" in claims._row(finding)


def test_the_best_rival_is_the_best_by_its_mean_on_the_group() -> None:
    levels = {
        "moe": (0.9, 0.9),
        "single_task": (0.8, 0.2),
        "ridge": (0.6, 0.6),
        "nearest_mean": (0.5, 0.5),
    }
    data = study(
        dict.fromkeys(levels, (0, 1)),
        # On the rich task all is the other way round.
        lambda m, s, _, t: 1 - levels[m][s] if t == "rich" else levels[m][s],
    )
    measure = measures.gain_over_best("single_task", "ridge", "nearest_mean", group="low_resource")
    finding = found(line(measure), here=data)
    assert finding.found.mean == pytest.approx(30)
    assert "ridge" in finding.note


def test_a_relation_is_measured_on_its_tasks_of_the_group() -> None:
    gains = {"turned": 0.1, "renamed": 0.2, "new": 0.3, "turned-too": 0.4}
    data = study(
        {"moe": (0, 1), "single_task": (0, 1)},
        lambda m, s, k, t: 0.4 + gains.get(t, 0) * (m == "moe"),
    )
    for relation, points in (("shifted input", 10), ("permuted labels", 20), ("new classes", 30)):
        measure = measures.gain_by_relation(relation, "single_task", "low_resource")
        finding = found(line(measure), here=data)
        assert finding.found.mean == pytest.approx(points)
    nowhere = measures.gain_by_relation("new classes", "single_task", "base")
    assert found(line(nowhere), here=data).verdict.startswith("not measured: no new classes")


def test_the_base_counts_from_when_it_was_complete() -> None:
    def accuracy(method: str, seed: int, k: int, task: str) -> float:
        before, after = {"dense": (0.8, 0.5), "moe": (0.6, 0.6)}[method]
        return 0.95 if k < 4 else before if k == 4 else after

    data = study({"dense": (0, 1), "moe": (0, 1)}, accuracy)
    for method, points in (("dense", -30), ("moe", 0)):
        finding = found(line(measures.change_of_base(method)), here=data)
        assert finding.found.mean == pytest.approx(points)


@pytest.mark.parametrize(
    ("reached", "ratio", "verdict"), [(20, 0.25, "missed by 0.12"), (None, np.inf, "not reached")]
)
def test_samples_to_the_target_of_alone(reached: int | None, ratio: float, verdict: str) -> None:
    sizes = (10, 20, 40, 80)

    def accuracy(method: str, seed: int, k: int, task: str) -> float:
        if "@" not in task:
            return 0.9
        size = int(task.split("@")[1])
        if method == "single_task":
            return 0.8 if size == 80 else 0.5
        return 0.78 if reached is not None and size >= reached else 0.1

    probes = [("near", "shifted", size) for size in sizes] + [("far", "other", n) for n in sizes]
    data = study({"moe": (0, 1), "single_task": (0, 1)}, accuracy, probes=probes)
    target = targets.Target("≤", 1 / 8)
    finding = found(line(measures.samples_saved("shifted"), target, "ratio"), here=data)
    assert finding.found.mean == pytest.approx(ratio)
    assert verdict in finding.verdict
    assert f"near {reached or 'not reached'} for 80" in finding.note
    assert "far" not in finding.note


def test_ratios_are_averaged_where_half_and_twice_are_as_far() -> None:
    probes = [(name, "shifted", size) for name in ("a", "b") for size in (10, 20, 40)]

    def accuracy(method: str, seed: int, k: int, task: str) -> float:
        name, _, size = task.partition("@")
        needed = {
            ("moe", "a"): 10,
            ("single_task", "a"): 20,
            ("moe", "b"): 40,
            ("single_task", "b"): 20,
        }
        return 0.8 if not size or int(size) >= needed[method, name] else 0.1

    data = study({"moe": (0, 1), "single_task": (0, 1)}, accuracy, probes=probes)
    finding = found(line(measures.samples_saved("shifted"), unit="ratio"), here=data)
    assert finding.found.mean == pytest.approx(1)


@pytest.mark.parametrize(("used", "half"), [(7, 4), (8, 4), (10, 6), (3, 2), (100, 8)])
def test_half_of_the_experts_is_the_nearest_limit_and_the_larger_of_two(
    used: int, half: int
) -> None:
    level = {"moe-2": 0.2, "moe-4": 0.4, "moe-6": 0.6, "moe-8": 0.8, "moe": 0.9, "moe-mean": 0.1}
    data = study(
        dict.fromkeys(level, (0, 1)),
        lambda m, *_: level[m],
        costs={("moe", "experts"): used},
    )
    finding = found(line(measures.gain_at_half_capacity("moe")), here=data)
    assert finding.found.mean == pytest.approx(10 * half - 90)
    assert finding.note.startswith(f"moe-{half};")


def test_quotients_of_costs() -> None:
    costs = {("moe", "steps"): 30, ("single_task", "steps"): 90, ("dense", "steps"): 0}
    data = study(
        dict.fromkeys(("moe", "single_task", "dense"), (0, 1)), lambda *_: 0.5, costs=costs
    )
    steps = measures.quotient(("moe", "steps"), ("single_task", "steps"))
    finding = found(line(steps, targets.Target("≤", 1 / 3), "ratio"), here=data)
    assert finding.found.mean == pytest.approx(1 / 3)
    nothing = measures.quotient(("moe", "steps"), ("dense", "steps"))
    assert found(line(nothing, targets.Target("≤", 1), "ratio"), here=data).verdict.startswith(
        "open"
    )


def test_what_is_not_there_is_said() -> None:
    data = study({"moe": (0, 1)}, lambda *_: 0.5)
    target = targets.Target(">", 0)
    assert found(line(measures.gain("single_task"), target)).verdict == "not run"
    assert found(line(measures.gain("single_task"), target), here=None).verdict == "not run"
    without = found(line(measures.gain("single_task"), target), here=data)
    assert without.verdict == "not measured: no method single_task"
    both = targets.Line(("here", "there"), "what", measures.mean_gain("single_task"), target)
    assert found(both, here=data).verdict == "not run: there"


def test_a_mean_over_studies_is_paired_by_seed() -> None:
    def gains(*values: float) -> StudyData:
        seeds = {"moe": range(len(values)), "single_task": range(len(values))}
        return study(seeds, lambda m, s, *_: 0.5 + values[s] * (m == "moe"))

    both = targets.Line(("a", "b"), "what", measures.mean_gain("single_task"))
    finding = found(both, a=gains(0.1, 0.2, 0.3), b=gains(0.3, 0.2))
    assert finding.found.mean == pytest.approx(20)
    assert finding.found.high == pytest.approx(20)  # 20 on both of the seeds that both have


def shipped(name: str) -> StudyData:
    """Return a study with the methods, groups and relations of a shipped scenario."""
    spec = load_scenario(name)
    tasks = [(task.name, task.group, relation(task)) for task in spec.tasks]
    probes = [(p.name, p.group, 10 * n) for p in spec.probes for n in p.per_class]
    seconds = ("cpu_seconds", "decision_seconds")
    names = [method.name for method in spec.methods]
    metrics = ("experts", "steps", "flops_predict")
    costs = {(method, metric): 4.0 for method in names for metric in metrics}
    data = study(
        dict.fromkeys(names, (0,)), lambda *_: 0.5, tasks=tasks, probes=probes, costs=costs
    )
    spent = [
        {"method": m, "seed": 0, "after_task": 0, **dict.fromkeys(seconds, 1.0)} for m in names
    ]
    timings = pd.DataFrame(spent).assign(eval_seconds=0.0)
    return StudyData(data.rows, data.tasks, data.methods, timings=timings)


def relation(task: TaskSpec) -> str | None:
    made = [catalog.resolve("operator", o.operator).relation for o in task.operators]
    new = ["new classes"] if task.from_ and task.classes else []
    return task.relation or ", ".join([*made, *new]) or None


def test_all_that_is_claimed_can_be_measured_on_the_shipped_scenarios() -> None:
    names = {name for lines in claims.CLAIMS.values() for li in lines for name in li.studies}
    studies = {name: shipped(name) for name in names}
    findings = [targets.evaluate(li, studies) for lines in claims.CLAIMS.values() for li in lines]
    assert [f"{f.line.studies} {f.line.what}: {f.note}" for f in findings if f.found is None] == []
    assert "not run" not in claims.page(studies)


def test_make_results_runs_all_studies_of_which_something_is_claimed() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = re.search(r"^STUDIES := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert wanted is not None
    runs = set(wanted[1].replace("\\", " ").split())
    assert {name for lines in claims.CLAIMS.values() for li in lines for name in li.studies} <= runs


def test_the_command_prints_the_page_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RESULTS / "related_unrelated", tmp_path / "related_unrelated")
    shutil.copytree(RESULTS / "related_unrelated", tmp_path / "low_resource_images")
    assert claims.main([str(tmp_path)]) == 0
    text = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    # The same difference as the study's own page has it.
    differences = intervals(paired(load_study(RESULTS / "related_unrelated"), "joint"))
    mean, low, high, *_ = differences["moe", "average_accuracy", "low_resource"]
    measured = f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    assert f"low_resource: moe - joint | ≥ 8 | {measured} | 5 | " in text
    link = "[capacity](capacity/README.md#results)"
    assert f"| {link} | half the experts - moe | ≥ -3 |  |  | not run |" in text
    assert 'make results STUDY="unseen_images unseen_text"' in text


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert claims.main([str(tmp_path / "nowhere")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    (tmp_path / "capacity" / "runs" / "moe" / "seed_0").mkdir(parents=True)
    assert claims.main([str(tmp_path)]) == 1
    assert "no study here" in capsys.readouterr().err
    assert not (tmp_path / "claims.md").exists()
