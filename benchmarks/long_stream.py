"""Does the thousandth task cost more than the hundredth? Time and memory, task by task."""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.measuring import RESULTS, Figure, Page, quotient, spread
from cl_moe.runs.folder.files import write_text
from cl_moe.runs.plan import Job, MethodPlan, Progress, StudyPlan
from cl_moe.streams.scenario import ScenarioSpec, load_scenario

__all__ = ("Cost", "measured", "scenario")

BLOCK = 10
"""Tasks whose seconds are added up before windows are compared: some grow an expert, most none."""
FLOAT_MIB = 4 / 2**20


@dataclass(frozen=True)
class Cost:
    """What one task of a stream cost.

    Attributes:
        method: the method's name.
        task: position in the stream.
        seconds: from the first step of this task to the first step of the next.
        cpu_seconds: of that, on the CPU.
        decision_seconds: what deciding took.
        resident_mib: main memory of the process when the task's training began.
        parameters_mib: parameters of the model after the task.
        experts: experts after the task; 0 where there are none.
    """

    method: str
    task: int
    seconds: float
    cpu_seconds: float
    decision_seconds: float
    resident_mib: float
    parameters_mib: float
    experts: int


def scenario(tasks: int, evaluate: str = "all") -> ScenarioSpec:
    """Return the stream: ``thousand_tasks``, or as many of its tasks, or more.

    >>> len(scenario(5).task_specs())
    5
    """
    data = load_scenario("thousand_tasks").to_dict()
    data["generate"]["phases"][0]["tasks"] = tasks
    data["training"]["evaluate"] = evaluate
    return ScenarioSpec.from_dict(data)


def measured(method: str, tasks: int, evaluate: str = "all") -> list[Cost]:
    """Learn the stream by one method, in this process, and return what each task cost.

    Args:
        method: its name in the scenario.
        tasks: how many tasks.
        evaluate: which earlier tasks are evaluated, as in ``[training]``.
    """
    from cl_moe.runs.single import run_one

    spec = scenario(tasks, evaluate)
    (options,) = (asked.parameters for asked in spec.methods if asked.name == method)
    plan = StudyPlan(
        spec.name, spec, spec.network, spec.training, (MethodPlan(method, method, options),), (0,),
        curves=False,
    )  # fmt: skip
    stream = plan.stream(0)
    seen: dict[int, tuple[float, float, float]] = {}

    def note(progress: Progress) -> None:
        if progress.task not in seen:
            seen[progress.task] = (time.perf_counter(), time.process_time(), resident())

    result = run_one(plan, Job(plan.methods[0], 0), stream, note)
    found = {
        name: {row["after_task"]: row["value"] for row in result.rows if row["metric"] == name}
        for name in ("parameters", "experts")
    }
    return [
        Cost(
            method,
            task,
            seen[task + 1][0] - seen[task][0],
            seen[task + 1][1] - seen[task][1],
            result.timings[task]["decision_seconds"],
            seen[task][2],
            found["parameters"][task] * FLOAT_MIB,
            int(found["experts"].get(task, 0)),
        )
        for task in range(tasks - 1)
    ]


def resident() -> float:
    """Return the main memory that this process holds now, in MiB; where that is not told, nan."""
    told = Path("/proc/self/statm")
    if not told.exists():
        return float("nan")
    return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def figures_of_time(costs: Sequence[Cost]) -> list[Figure]:
    """Return how much more a task costs at the end of the stream than after its first tenth."""
    name, tenth = costs[0].method, (len(costs) + 1) // 10
    windows = [costs[start : start + tenth - 1] for start in (tenth, 9 * tenth)]
    what = f"{name}: tasks {9 * tenth} to {10 * tenth} / tasks {tenth} to {2 * tenth}"
    early, late = ([_blocks(w, clock) for w in windows] for clock in ("cpu_seconds", "seconds"))
    return [
        quotient(f"{what}, time", late[1], late[0], 1.2 if name == "moe" else None),
        quotient(f"{what}, CPU time", early[1], early[0]),
        spread(f"{name}: a task, at the end", [1e3 * c.seconds for c in windows[1]], unit="ms"),
        spread(
            f"{name}: of that, deciding", [1e3 * c.decision_seconds for c in windows[1]], unit="ms"
        ),
    ]


def _blocks(costs: Sequence[Cost], clock: str) -> list[float]:
    size = min(BLOCK, len(costs) // 2)
    starts = range(0, len(costs) - size + 1, size)
    return [sum(getattr(c, clock) for c in costs[start : start + size]) for start in starts]


def figures_of_memory(costs: Sequence[Cost]) -> list[Figure]:
    """Return what a task adds to the process and to the model, after the first tenth."""
    name, tenth = costs[0].method, (len(costs) + 1) // 10
    starts = [costs[start] for start in range(tenth, len(costs), tenth)]
    kib = [
        [1024 * (getattr(b, what) - getattr(a, what)) / tenth for a, b in pairwise(starts)]
        for what in ("resident_mib", "parameters_mib")
    ]
    return [
        spread(f"{name}: a task adds to the process", kib[0], unit="KiB"),
        spread(f"{name}: of that, parameters of experts and heads", kib[1], unit="KiB"),
    ]


def plot(costs: Sequence[Cost], path: Path) -> None:
    """Draw time and memory over the tasks."""
    import matplotlib
    import pandas as pd
    import seaborn as sns

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    frame = pd.DataFrame([asdict(cost) for cost in costs])
    frame["ms"] = 1e3 * frame.groupby("method")["seconds"].transform(
        lambda values: values.rolling(25, center=True, min_periods=1).median()
    )
    grown = frame.groupby("method")[["resident_mib", "parameters_mib"]].transform(
        lambda values: values - values.iloc[min(20, len(values) - 1)]
    )
    frame[["process", "parameters"]] = grown
    with sns.axes_style("whitegrid"), sns.plotting_context("paper"):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 2.9), layout="constrained")
        sns.lineplot(frame, x="task", y="ms", hue="method", palette="colorblind", ax=left)
        left.set(xlabel="task", ylabel="a task takes (ms)", ylim=(0, None))
        long = frame.melt(["method", "task"], ["process", "parameters"], "memory", "MiB")
        long["line"] = long["method"] + ", " + long["memory"]
        sns.lineplot(long, x="task", y="MiB", hue="line", palette="Paired", ax=right)
        right.set(xlabel="task", ylabel="grown since the 20th task (MiB)", ylim=(0, None))
        for axes in (left, right):
            axes.get_legend().set_title(None)
        sns.despine(figure)
        figure.savefig(path, dpi=200)
        plt.close(figure)


def write_costs(costs: Sequence[Cost], path: Path) -> None:
    """Write a line a task."""
    table = io.StringIO()
    writer = csv.DictWriter(table, [*asdict(costs[0])], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(cost) for cost in costs)
    write_text(path, table.getvalue())


def main() -> None:
    """Measure, print and write ``results/benchmarks/long_stream.*``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--evaluate", default="all", help="all, or sample:N")
    parser.add_argument("--methods", default="dense,moe")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    given = parser.parse_args()
    page = Page(
        "long_stream",
        "A stream of a thousand tasks",
        f"The scenario `thousand_tasks` ({given.tasks} tasks of 150 examples, a third of them "
        "earlier ones again), learned by the mixture and by one dense network, each in a process "
        f"of its own. Seconds of {BLOCK} tasks in a row are added up, and windows of tasks are "
        "compared. ![time and memory, task by task](long_stream.png)",
        given.folder,
    )
    costs: list[Cost] = []
    for method in given.methods.split(","):
        # in a new process, whose memory is this method's alone
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found = process.submit(measured, method, given.tasks, given.evaluate).result()
        page.add(f"Time, {method}", figures_of_time(found))
        page.add(f"Memory, {method}", figures_of_memory(found))
        costs += found
    page.note(
        f"The mixture ended with {max(cost.experts for cost in costs)} experts. What a task adds "
        "beside parameters was not told apart; its rows and the log of its decision, which are "
        "kept until the run is written, are in it. The jumps are evaluations of all tasks, one in "
        "a hundred tasks."
    )
    page.write()
    write_costs(costs, given.folder / "long_stream_tasks.csv")
    plot(costs, given.folder / "long_stream.png")


if __name__ == "__main__":
    main()
