"""Notes on a study's results: the verdict, the data used, and warnings."""

from __future__ import annotations

import numpy as np

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.divergence import divergence_warnings, divergences
from cl_moe.analysis.stats import ENOUGH
from cl_moe.analysis.verdict import verdict

__all__ = ("CHANCE", "data_line", "few_seeds", "remarks", "warnings")

CHANCE = 0.02  # an accuracy (or R2) this close to that of random guessing, or lower, is at chance


def remarks(data: StudyData) -> list[str]:
    """Return the lines below a study's table: verdict, data and warnings."""
    said = verdict(data)
    lines = [f"Verdict: {said}" if said else "", data_line(data)]
    return [*filter(None, lines), *(f"Warning: {text}" for text in warnings(data))]


def data_line(data: StudyData) -> str:
    """Return the data that each source of the scenario used; empty where that is not known.

    A slot of a scenario takes the first of its data sets that is available.
    """
    pairs = "; ".join(f"{name} = {what}" for name, what in data.sources.items())
    return f"Data: {pairs}." if pairs else ""


def warnings(data: StudyData) -> list[str]:
    """Return a sentence for every result that may be misleading.

    These are: fewer than three seeds; runs whose loss is not finite (diverged); hyperparameters
    chosen at the edge of their grid, since the best value may lie outside; and methods whose final
    accuracy on a task is at chance, since they did not learn the task or forgot it.
    """
    return [*few_seeds(data), *divergence_warnings(data), *_edges(data), *_at_chance(data)]


def few_seeds(data: StudyData) -> list[str]:
    """Return a warning where there are fewer than three seeds."""
    seeds = len(data.seeds)
    if not 0 < seeds < ENOUGH:  # 0 where only pairs of tasks were measured
        return []
    return [
        f"{seeds} seed{'s' if seeds != 1 else ''}: no difference between methods is significant "
        f"with fewer than {ENOUGH}."
    ]


def _edges(data: StudyData) -> list[str]:
    found = []
    for method, parameters in data.tuned.items():
        for name, (value, grid) in parameters.items():
            numeric = all(type(v) in (int, float) for v in grid)  # a bool has no larger value
            if method not in data.method_names or not numeric or min(grid) == max(grid):
                continue
            edges = {min(grid): "lowest", max(grid): "highest"}
            if value in edges:
                found.append(
                    f"{method}: {name} = {value:g} was chosen, the {edges[value]} value of its "
                    f"grid ({min(grid):g} to {max(grid):g}); the best value may lie outside."
                )
    return found


def _at_chance(data: StudyData) -> list[str]:
    stream = data.tasks[~data.tasks["probe"]]
    classes_T = stream["n_classes"].to_numpy(dtype=float)
    guess_T = np.where(classes_T > 1, 1 / np.maximum(classes_T, 1), -np.inf)
    # The scores of constant predictions; F1 has no such value.
    guesses = {"r2": 0.0, "f1": -np.inf}
    scores = [data.scores[str(task)] for task in stream["task"]]
    guess_T = np.array([guesses.get(s, g) for s, g in zip(scores, guess_T, strict=True)])
    ends: dict[str, list[np.ndarray]] = {}
    diverged = {(run.method, run.seed) for run in divergences(data)}
    for (method, seed), a_TT in data.accuracies().items():
        if (method, seed) not in diverged:
            ends.setdefault(method, []).append(a_TT[-1])
    found = []
    for method in data.method_names:
        if method in ends:
            count = int(np.sum(np.mean(ends[method], axis=0) <= guess_T + CHANCE))
            if count:
                tasks = f"{count} of {len(stream)} task{'s' if len(stream) != 1 else ''}"
                found.append(f"{method} ends at chance on {tasks} (within 2 points of guessing).")
    return found
