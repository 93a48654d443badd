"""A realistic made-up study: 6 tasks in groups, 4 methods, 5 seeds, probes, events, timings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.frames import PAIR_COLUMNS

METHODS = [("experts", "moe"), ("dense", "dense"), ("ewc", "ewc"), ("single_task", "single_task")]
TASKS = [
    ("mnist", "rich", None, None, 6000, 0.97),
    ("fashion", "rich", None, None, 6000, 0.87),
    ("mnist-inverted", "low_resource", "mnist", "shifted input", 100, 0.78),
    ("kmnist", "rich", None, None, 5000, 0.88),
    ("kmnist-low", "low_resource", "kmnist", "low resource", 100, 0.55),
    ("fashion-permuted", "unrelated", "fashion", "unrelated", 100, 0.62),
]
PROBE_SIZES = (8, 32, 128, 512)
COLUMNS = ["method", "seed", "after_task", "task", "metric", "value", "epoch"]

# How each made-up method behaves: gain over single_task by group, loss a later task, gain on probes.
GAIN = {
    "experts": {"rich": 0.0, "low_resource": 0.13, "unrelated": -0.01},
    "dense": {"rich": -0.01, "low_resource": 0.03, "unrelated": -0.02},
    "ewc": {"rich": -0.05, "low_resource": 0.0, "unrelated": -0.12},
    "single_task": {"rich": 0.0, "low_resource": 0.0, "unrelated": 0.0},
}
LOSS = {"experts": 0.0, "dense": 0.11, "ewc": 0.025, "single_task": 0.0}
PROBE_GAIN = {"experts": 0.18, "dense": 0.08, "ewc": 0.04, "single_task": 0.0}


def task_table(tasks: list[tuple[Any, ...]], probes: tuple[int, ...] = ()) -> pd.DataFrame:
    """Return the tasks frame of (name, group, derived_from, relation, n, accuracy) rows."""
    table = [
        (k, name, group, origin, relation, n, 1000, 10, False)
        for k, (name, group, origin, relation, n, _) in enumerate(tasks)
    ]
    table += [
        (len(tasks) + i, f"digits-{n}", "unseen", "digits", "low resource", n, 500, 10, True)
        for i, n in enumerate(probes)
    ]
    return pd.DataFrame(
        table,
        columns=["position", "task", "group", "derived_from", "relation", "n_train", "n_test",
                 "n_classes", "probe"],
    )  # fmt: skip


def run_rows(method: str, seed: int, tasks: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    rng = np.random.default_rng([seed, METHODS.index((method, dict(METHODS)[method]))])
    rows: list[tuple[Any, ...]] = []
    start: dict[str, float] = {}
    for k, (name, group, *_, level) in enumerate(tasks):
        start[name] = float(np.clip(level + GAIN[method][group] + rng.normal(0, 0.012), 0, 1))
        for j, (seen, *_) in enumerate(tasks[: k + 1]):
            lost = LOSS[method] * (k - j) * (1 + 0.4 * rng.normal()) if k > j else 0.0
            value = float(np.clip(start[seen] - lost, 0.1, 1))
            rows.append((method, seed, k, seen, "accuracy", value, np.nan))
        for epoch in range(6):
            value = float(start[name] - (start[name] - 0.1) * 0.45**epoch)
            rows.append((method, seed, k, name, "accuracy", value, epoch))
        rows += [
            (method, seed, k, name, metric, float(value), np.nan)
            for metric, value in cost_rows(method, k).items()
        ]
    for n in PROBE_SIZES:
        level = 0.95 - 0.75 * (n / 4) ** -0.45
        gain = PROBE_GAIN[method] * (8 / n) ** 0.3
        value = float(np.clip(level + gain + rng.normal(0, 0.015), 0, 1))
        rows.append((method, seed, len(tasks), f"digits-{n}", "accuracy", value, np.nan))
    return rows


def cost_rows(method: str, k: int) -> dict[str, float]:
    one = 52_000.0
    experts = {"experts": min(k + 1, 4), "single_task": k + 1}.get(method, 1)
    return {
        "parameters": one * experts + 1300 * (k + 1),
        "active_parameters": one + 1300,
        "flops_predict": 2 * one * (1.1 if method == "experts" else 1.0),
        "experts": experts,
        "steps": 400,
    }


def event(seed: int, task: int, name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "method": "experts", "seed": seed, "task": task, "name": name, "kind": kind,
        "source": more.get("source"), "path": more["path"], "frozen": [],
        "new_experts": more.get("new", []), "usage": more["usage"],
        "candidates": more.get("candidates", []), "experts": more.get("experts", 1),
        "seconds": 0.4,
        "sentence": f"task {task} '{name}': {kind}"
        + (f" of the path of '{more['source']}'" if more.get("source") else ""),
    }  # fmt: skip


def events_of(seed: int) -> list[dict[str, Any]]:
    names = [task[0] for task in TASKS]
    return [
        event(seed, 0, names[0], "fresh", path=[["a"], ["p"]], new=[[0, "a"], [1, "p"]],
              usage=[{"a": 1.0}, {"p": 1.0}]),
        event(seed, 1, names[1], "copy", source="mnist", path=[["a"], ["q"]], new=[[1, "q"]],
              usage=[{"a": 1.0}, {"q": 1.0}],
              candidates=[{"kind": "copy", "source": "mnist", "accuracy": 0.86},
                          {"kind": "fresh", "source": None, "accuracy": 0.85}]),
        event(seed, 2, names[2], "matched", source="mnist", path=[["a"], ["p"]],
              usage=[{"a": 1.0}, {"p": 1.0}],
              candidates=[{"kind": "matched", "source": "mnist", "accuracy": 0.91},
                          {"kind": "reuse", "source": "fashion", "accuracy": 0.70},
                          {"kind": "fresh", "source": None, "accuracy": 0.60}]),
        event(seed, 3, names[3], "fresh", path=[["b"], ["r"]], new=[[0, "b"], [1, "r"]],
              usage=[{"b": 1.0}, {"r": 1.0}],
              candidates=[{"kind": "reuse", "source": "mnist", "accuracy": 0.70},
                          {"kind": "copy", "source": "fashion", "accuracy": 0.75},
                          {"kind": "fresh", "source": None, "accuracy": 0.88}]),
        event(seed, 4, names[4], "ensemble", source="kmnist", path=[["a", "b"], ["p", "r"]],
              usage=[{"a": 0.25, "b": 0.75}, {"p": 0.2, "q": 0.1, "r": 0.7}],
              candidates=[{"kind": "matched", "source": "kmnist", "accuracy": 0.74},
                          {"kind": "reuse", "source": "mnist", "accuracy": 0.52},
                          {"kind": "fresh", "source": None, "accuracy": 0.5}]),
        event(seed, 5, names[5], "reassign", source=None, path=[["b"], ["q"]],
              usage=[{"b": 1.0}, {"q": 1.0}],
              candidates=[{"kind": "reuse", "source": "kmnist", "accuracy": 0.45},
                          {"kind": "reuse", "source": "fashion", "accuracy": 0.58},
                          {"kind": "fresh", "source": None, "accuracy": 0.61}]),
    ]  # fmt: skip


def make_study(
    seeds: int = 5,
    methods: list[tuple[str, str]] = METHODS,
    tasks: list[tuple[Any, ...]] = TASKS,
    probes: tuple[int, ...] = PROBE_SIZES,
) -> StudyData:
    rows = [row for m, _ in methods for s in range(seeds) for row in run_rows(m, s, tasks)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    known = {task[0] for task in tasks} | {f"digits-{n}" for n in probes}
    timings = [
        (m, s, k, 2.0 + 0.1 * s, 0.5 if m == "experts" else 0.0, 0.3)
        for m, _ in methods for s in range(seeds) for k in range(len(tasks))
    ]  # fmt: skip
    with_events = tasks == TASKS and "experts" in dict(methods)
    return StudyData(
        rows=frame[frame["task"].isin(known)],
        tasks=task_table(tasks, probes),
        methods=pd.DataFrame(methods, columns=["method", "type"]),
        events=[e for s in range(seeds) for e in events_of(s)] if with_events else [],
        timings=pd.DataFrame(
            timings, columns=["method", "seed", "after_task", "train_seconds",
                              "decision_seconds", "eval_seconds"],
        ),
        baseline="dense" if "dense" in dict(methods) else None,
        name="made up",
    )  # fmt: skip


@pytest.fixture(scope="session")
def study() -> StudyData:
    return make_study()


@pytest.fixture(scope="session")
def paired_study(study: StudyData) -> StudyData:
    """The study, with pairs of tasks: experts gain 10 points after mnist, dense lose 2 anywhere."""
    single_task = {
        task[0]: study.accuracies()["single_task", 0][-1, j] for j, task in enumerate(TASKS)
    }
    pairs = [
        (method, 0, i, j, single_task[j] + (-0.02 if method == "dense" else 0.1 * (i == "mnist")))
        for method in ("dense", "experts")
        for i in single_task
        for j in single_task
        if i != j and j != "mnist"
    ]
    return replace(study, pairs=pd.DataFrame(pairs, columns=list(PAIR_COLUMNS)))


@pytest.fixture(scope="session")
def make() -> Callable[..., StudyData]:
    """Return the maker of studies, for tests that need one of another size."""
    return make_study


@pytest.fixture(scope="session")
def study_of() -> Callable[..., StudyData]:
    """Return a maker of studies from accuracy matrices: {method: [matrix of seed 0, ...]}."""

    def from_matrices(
        matrices: dict[str, list[Any]], types: dict[str, str] | None = None, **more: Any
    ) -> StudyData:
        rows = [
            (method, seed, k, f"t{j}", "accuracy", value, np.nan)
            for method, runs in matrices.items()
            for seed, a_TT in enumerate(runs)
            for k, line in enumerate(a_TT)
            for j, value in enumerate(line)
            if not np.isnan(value)
        ]
        length = len(next(iter(matrices.values()))[0])
        tasks = task_table([(f"t{j}", None, None, None, 10, 0.5) for j in range(length)])
        more.setdefault("tasks", tasks)
        methods = [(method, (types or {}).get(method, method)) for method in matrices]
        return StudyData(
            rows=pd.DataFrame(rows, columns=COLUMNS),
            methods=pd.DataFrame(methods, columns=["method", "type"]),
            **more,
        )

    return from_matrices
