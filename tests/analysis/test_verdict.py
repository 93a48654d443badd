from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.verdict import standings, verdict

Maker = Callable[..., StudyData]
KINDS = ("related", "unrelated")


def runs(related: float, unrelated: float, lost: float = 0.0, seeds: int = 5) -> list[np.ndarray]:
    """Return the accuracies of runs on two tasks: ends, what the first one lost, and some noise."""
    noise = np.linspace(-0.004, 0.004, seeds)
    return [
        np.array([[related + lost + e, np.nan], [related + e, unrelated - e]]) for e in noise
    ]  # fmt: skip


def study_with(study_of: Maker, matrices: dict[str, list[np.ndarray]]) -> StudyData:
    """Return a study of one task a kind, in which moe decides and says how many experts it has."""
    data = study_of(matrices)
    event = {"method": "moe", "seed": 0, "task": 0, "name": "t0", "kind": "fresh", "sentence": ""}
    rows = [("moe", seed, 1, "t0", "experts", 2.0, np.nan) for seed in data.seeds]
    more = pd.DataFrame(rows, columns=list(data.rows.columns))
    return replace(
        data,
        rows=pd.concat([data.rows, more]) if "moe" in matrices else data.rows,
        tasks=data.tasks.assign(group=list(KINDS)),
        events=[{**event, "path": []}] if "moe" in matrices else [],
    )


def test_leads_losses_and_what_was_forgotten_are_said(study_of: Maker) -> None:
    data = study_with(
        study_of,
        {
            "dense": runs(0.5, 0.7, lost=0.3),
            "ewc": runs(0.6, 0.6, lost=0.1),
            "single_task": runs(0.7, 0.8),
            "joint": runs(0.99, 0.99),
            "moe": runs(0.9, 0.75),
        },
    )
    said = verdict(data)
    assert said == (
        "moe leads over all tasks (+7.5 points against single_task, 95 % interval +7.5 to +7.5) "
        "and on related tasks (+20.0 points against single_task, 95 % interval +20.0 to +20.0); "
        "experts do not help on unrelated tasks (-5.0 points against single_task, 95 % interval "
        "-5.0 to -5.0); points forgotten: 30.0 by dense, 10.0 by ewc and 0.0 by moe."
    )


def noisy(related: Sequence[float], unrelated: float) -> list[np.ndarray]:
    return [np.array([[r, np.nan], [r, unrelated]]) for r in related]


@pytest.mark.parametrize(
    ("moe", "others", "said"),
    [
        (  # the mean is ahead, and the interval has 0 in it
            (0.6, 0.9, 0.7),
            {"single_task": (0.7, 0.6, 0.7)},
            "no significant gain from experts over all tasks",
        ),
        (  # the mean is behind, and the interval has 0 in it
            (0.7, 0.6, 0.7),
            {"single_task": (0.6, 0.9, 0.7)},
            "no significant gain from experts over all tasks",
        ),
        (  # ahead of single_task, behind another
            (0.8, 0.81, 0.82),
            {"single_task": (0.5, 0.51, 0.52), "replay": (0.9, 0.91, 0.92)},
            "moe gains but has no significant lead over all tasks (-5.0 points against replay,",
        ),
        (  # nothing was trained alone
            (0.8, 0.81, 0.82),
            {"replay": (0.9, 0.91, 0.92)},
            "moe has no significant lead over all tasks (-5.0 points against replay,",
        ),
        (  # the best mean is beaten, and another is too noisy to be: that one is named
            (0.8, 0.81, 0.82),
            {"single_task": (0.5, 0.51, 0.52), "replay": (0.7, 0.71, 0.72), "ewc": (0.0, 0.9, 0.5)},
            "moe gains but has no significant lead over all tasks (+17.2 points against ewc,",
        ),
    ],
)
def test_a_lead_takes_an_interval_without_0_against_each_other_method(
    study_of: Maker, moe: Sequence[float], others: dict[str, Sequence[float]], said: str
) -> None:
    matrices = {name: noisy(values, 0.5) for name, values in {**others, "moe": moe}.items()}
    assert verdict(study_with(study_of, matrices)).startswith(said)


@pytest.mark.parametrize(
    ("seeds", "moe", "said"),
    [
        (
            1,
            0.8,
            "Too few seeds for a verdict: over 1 seed moe is 10.0 points ahead of single_task",
        ),
        (2, 0.4, "Too few seeds for a verdict: over 2 seeds moe is 10.0 points behind single_task"),
    ],
)
def test_fewer_than_three_seeds_tell_nothing(
    study_of: Maker, seeds: int, moe: float, said: str
) -> None:
    single_task, mine = runs(0.6, 0.6, seeds=seeds), runs(moe, 0.6, seeds=seeds)
    assert verdict(study_with(study_of, {"single_task": single_task, "moe": mine})).startswith(said)


def test_seeds_that_two_methods_share_are_counted(study_of: Maker) -> None:
    data = study_with(study_of, {"single_task": runs(0.6, 0.6, seeds=2), "moe": runs(0.8, 0.6)})
    assert verdict(data).startswith("Too few seeds for a verdict: over 2 seeds")


def test_without_experts_none_is_spoken_of(study_of: Maker) -> None:
    said = verdict(study_with(study_of, {"single_task": runs(0.7, 0.7), "ewc": runs(0.6, 0.6)}))
    assert said.startswith("ewc has no significant lead over all tasks")
    assert "expert" not in said


def test_nothing_is_said_where_nothing_is_compared(study_of: Maker) -> None:
    assert verdict(study_with(study_of, {"moe": runs(0.7, 0.7)})) == ""
    # joint sees all tasks at once, and so is no rival
    assert verdict(study_with(study_of, {"joint": runs(0.9, 0.9), "moe": runs(0.7, 0.7)})) == ""


def test_a_method_that_diverged_has_no_verdict(study_of: Maker) -> None:
    data = study_with(study_of, {"single_task": runs(0.6, 0.6), "moe": runs(0.8, 0.6)})
    lost = pd.DataFrame(
        [("moe", 0, 0, "t0", "loss", float("inf"), np.nan)], columns=list(data.rows.columns)
    )
    diverged = replace(data, rows=pd.concat([data.rows, lost]))
    assert verdict(diverged) == "No verdict: moe diverged."


def test_one_group_is_not_told_twice(study_of: Maker) -> None:
    data = study_with(study_of, {"single_task": runs(0.6, 0.6), "moe": runs(0.8, 0.6)})
    assert [s.group for s in standings(data, "moe")] == [None, *KINDS]
    one = replace(data, tasks=data.tasks.assign(group="rich"))
    assert [s.group for s in standings(one, "moe")] == [None]
