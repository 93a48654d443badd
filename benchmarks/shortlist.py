"""Accuracy and time of decisions that consider only the nearest earlier tasks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.long_stream import scenario
from benchmarks.measuring import RESULTS, Figure, Page, quotient, side_by_side, spread
from cl_moe.analysis.stats import interval
from cl_moe.continual.decision import Decision
from cl_moe.continual.evidence.signatures import Shortlist
from cl_moe.continual.growth.reuse_or_grow import ReuseOrGrow
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork

__all__ = ("Learned", "Watched", "learned", "searches")

ALL = 10_000
"""A shortlist that every task has a place on."""


class Watched(ReuseOrGrow):
    """The default policy, with the full search; notes which shortlists its choices would be on."""

    def __init__(self, lengths: Sequence[int] = (8, 16, 32), shortlist: int = ALL) -> None:
        super().__init__(shortlist=shortlist)
        self.lengths = tuple(lengths)
        self.found: dict[int, list[bool]] = {length: [] for length in self.lengths}

    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Decide by the full search, and look up each task whose path or head was chosen."""
        decision = super().decide(view, network)
        shares, known = decision.head.sources, network.tasks
        chosen = [task for task in known if task == decision.evidence.source or task in shares]
        paths = {network.path(task) for task in chosen if network.owns_path(task)}
        pooled = {task for task in chosen if not network.owns_path(task)}
        assert self.near is not None
        for length in self.lengths if len(known) > max(self.lengths) else ():
            near = _nearest(self.near, length, view, known)
            read = {s for task in near for s in network.reads(task)}
            listed = {network.path(s) for s in read if network.owns_path(s)}
            self.found[length] += [path in listed for path in paths]
            self.found[length] += [task in near for task in pooled]
        return decision


def _nearest(near: Shortlist, length: int, view: TaskView, among: Sequence[int]) -> list[int]:
    kept, near.most = near.most, length
    try:
        return near.to(view.x, view.y, among)
    finally:
        near.most = kept


@dataclass(frozen=True)
class Learned:
    """The results of a stream that was learned with one shortlist.

    Attributes:
        accuracy: mean accuracy at the end, 0 to 1.
        decision_seconds: of all decisions.
        experts: at the end.
        recall: of a full search, by the length of the shortlist: the share of its choices on it.
    """

    accuracy: float
    decision_seconds: float
    experts: float
    recall: dict[int, float]


def learned(tasks: int, seed: int, shortlist: int | None, lengths: Sequence[int]) -> Learned:
    """Learn the stream; without a shortlist by the full search, whose choices are recorded.

    Args:
        tasks: number of tasks of ``thousand_tasks``.
        seed: of examples and network.
        shortlist: number of tasks that a decision considers; None for all.
        lengths: of the shortlists that the full search is compared with.
    """
    from cl_moe.runs.randomness import isolated, seed_all
    from cl_moe.seeding import derive
    from cl_moe.strategies.task_aware import TaskAwareMoE
    from cl_moe.training.evaluation import evaluate

    spec = scenario(tasks)
    stream = spec.build_stream(seed)
    policy = Watched(lengths) if shortlist is None else ReuseOrGrow(shortlist=shortlist)
    with isolated(1):
        strategy = TaskAwareMoE(
            shape=stream.shape,
            network=spec.network,
            training=spec.training,
            growth=policy,
            seed=seed,
        )
        benchmark = stream.to_benchmark()
        for position, experience in enumerate(benchmark.train_stream):
            seed_all(derive(seed, "task", stream[position].name, position))
            strategy.train(experience, eval_streams=[])
        found = evaluate(strategy, benchmark.test_stream)
    recall = policy.found if isinstance(policy, Watched) else {}
    return Learned(
        sum(one.accuracy for one in found) / len(found),
        sum(event["seconds"] for event in strategy.events),
        strategy.events[-1]["experts"],
        {length: sum(hits) / len(hits) for length, hits in recall.items() if hits},
    )


def searches(sizes: Sequence[int], rounds: int = 7) -> list[Figure]:
    """Return the time of the exact search among each number of tasks."""
    draw = torch.Generator().manual_seed(0)
    figures = []
    for size in sizes:
        near = Shortlist(64)
        for task in range(64):
            near.add(task, torch.rand(40, 64, generator=draw), torch.arange(40) % 4)
        # many random signatures at once: their values do not affect the time
        near._rows = {task: task for task in range(size)}
        near._parts = [torch.rand(size, part.shape[1], generator=draw) for part in near._parts]
        x, y, among = torch.rand(40, 64, generator=draw), torch.arange(40) % 4, list(range(size))
        times = side_by_side({"search": partial(near.to, x, y, among)}, rounds)["search"]
        figures.append(spread(f"search among {size:,}", [1e3 * t for t in times], unit="ms"))
    return figures


def main() -> None:
    """Measure, print and write ``results/benchmarks/shortlist.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--folder", type=Path, default=RESULTS)
    given = parser.parse_args()
    page = Page(
        "shortlist",
        "A shortlist of earlier tasks against the full search",
        f"The first {given.tasks} tasks of `thousand_tasks` with {given.seeds} seeds. A decision "
        "considers all earlier tasks, or only those with the nearest signatures (the shortlist). "
        "Recall: the share of the paths and heads chosen by the full search that the shortlist "
        "contains.",
        given.folder,
    )
    names: list[int | None] = [None, *given.lengths]
    runs = {
        name: [learned(given.tasks, seed, name, given.lengths) for seed in range(given.seeds)]
        for name in names
    }
    full = runs[None]
    for length in given.lengths:
        lost = [100 * (a.accuracy - b.accuracy) for a, b in zip(full, runs[length], strict=True)]
        ours = [run.decision_seconds for run in runs[length]]
        page.add(
            f"{length} of up to {given.tasks} tasks",
            [
                spread("accuracy lost to the full search", lost, unit="points"),
                spread("recall", [run.recall[length] for run in full]),
                quotient("time of deciding", ours, [run.decision_seconds for run in full]),
                spread("experts", [run.experts for run in runs[length]]),
            ],
        )
        mean = interval(lost)
        page.note(
            f"{length}: {mean.mean:.2f} points are lost in the mean over seeds "
            f"(95 % interval {mean.low:.2f} to {mean.high:.2f})."
        )
    page.add("All tasks", [spread("accuracy", [100 * r.accuracy for r in full], unit="%")])
    page.add("The exact search", searches([1_000, 10_000, 100_000]))
    page.write()


if __name__ == "__main__":
    main()
