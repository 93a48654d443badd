"""What a reader must know before the numbers: which data they are of, and what looks wrong."""

from __future__ import annotations

import numpy as np

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.divergence import divergence_warnings, divergences
from cl_moe.analysis.stats import ENOUGH
from cl_moe.analysis.verdict import verdict

__all__ = ("CHANCE", "data_line", "few_seeds", "remarks", "warnings")

CHANCE = 0.02  # an accuracy (or R2) this near to guessing, or lower, is chance


def remarks(data: StudyData) -> list[str]:
    """Return the lines to print below a study's table: its verdict, its data, its warnings."""
    said = verdict(data)
    lines = [f"Verdict: {said}" if said else "", data_line(data)]
    return [*filter(None, lines), *(f"Warning: {text}" for text in warnings(data))]


def data_line(data: StudyData) -> str:
    """Return what data the scenario's sources really were; empty where that is not known.

    A scenario's ``mnist`` may be a slot that other images have filled.
    """
    pairs = "; ".join(f"{name} = {what}" for name, what in data.sources.items())
    return f"Data: {pairs}." if pairs else ""


def warnings(data: StudyData) -> list[str]:
    """Return a sentence for every result that is not what it seems.

    Fewer than three seeds settle nothing. A run whose loss is not finite has diverged, whatever its
    accuracy. A parameter chosen at the edge of its grid may be better beyond it, so that a method
    looks worse than it is; a method that ends at chance on a task has not learned or has lost it.
    """
    return [*few_seeds(data), *divergence_warnings(data), *_edges(data), *_at_chance(data)]


def few_seeds(data: StudyData) -> list[str]:
    """Return a warning where there are fewer than three seeds."""
    seeds = len(data.seeds)
    if not 0 < seeds < ENOUGH:  # there is none where pairs of tasks alone were measured
        return []
    return [
        f"{seeds} seed{'s' if seeds != 1 else ''}: no difference between methods is settled by "
        f"fewer than {ENOUGH}."
    ]


def _edges(data: StudyData) -> list[str]:
    found = []
    for method, parameters in data.tuned.items():
        for name, (value, grid) in parameters.items():
            numeric = all(type(v) in (int, float) for v in grid)  # a bool has no beyond
            if method not in data.method_names or not numeric or min(grid) == max(grid):
                continue
            edges = {min(grid): "lowest", max(grid): "highest"}
            if value in edges:
                found.append(
                    f"{method}: {name} = {value:g} was chosen, the {edges[value]} value of its "
                    f"grid ({min(grid):g} to {max(grid):g}); the best may lie beyond it."
                )
    return found


def _at_chance(data: StudyData) -> list[str]:
    stream = data.tasks[~data.tasks["probe"]]
    classes_T = stream["n_classes"].to_numpy(dtype=float)
    guess_T = np.where(classes_T > 1, 1 / np.maximum(classes_T, 1), -np.inf)
    # Without a look at the input: the mean explains nothing, and labels have no such guess.
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
