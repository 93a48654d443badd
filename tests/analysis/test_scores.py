"""Studies of regression and several labels a row: each task counts by its own score."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cl_moe.analysis.caveats import warnings
from cl_moe.analysis.checks import PAIR_COLUMNS
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.document import report
from cl_moe.analysis.metrics import compute
from cl_moe.analysis.plots import plot_all
from cl_moe.analysis.scores import LEAST, NAMES, score_label, score_rows
from cl_moe.analysis.tables import table_data
from cl_moe.errors import InputError
from cl_moe.objectives import SCORES

KINDS = {"kinds": "accuracy", "rated": "r2", "tags": "f1"}


def study(kinds: dict[str, str] = KINDS, lost: float = 2.0, said: bool = True) -> StudyData:
    """Return a study whose method ``dense`` forgets each task by ``lost``, to below 0 for R2."""
    names, rows = list(kinds), []
    for method, loss in (("dense", lost), ("single_task", 0.0)):
        for seed in (0, 1, 2):
            for after in range(len(names)):
                for position, name in enumerate(names[: after + 1]):
                    fallen = loss * (after - position)
                    value = 0.9 + 0.01 * seed - fallen
                    value = value if kinds[name] == "r2" else max(0.1, value)
                    rows.append((method, seed, after, name, kinds[name], value))
                    rows.append((method, seed, after, name, "loss", 3.0))
                rows.append((method, seed, after, names[after], "parameters", 100.0))
    objective = {score: name for name, score in SCORES.items()}
    tasks = pd.DataFrame(
        {
            "position": range(len(names)), "task": names, "group": None, "derived_from": None,
            "relation": None, "n_train": 9, "n_test": 9, "n_classes": 2, "probe": False,
        }
    )  # fmt: skip
    if said:
        tasks["objective"] = [
            None if score == "accuracy" else objective[score] for score in kinds.values()
        ]
    columns = ["method", "seed", "after_task", "task", "metric", "value"]
    methods = pd.DataFrame({"method": ["dense", "single_task"], "type": ["dense", "single_task"]})
    return StudyData(pd.DataFrame(rows, columns=columns), tasks, methods, baseline="dense")


def test_every_objective_has_a_name_and_a_range() -> None:
    assert set(LEAST) == set(NAMES) == set(SCORES.values())


def test_each_task_counts_by_its_own_score() -> None:
    values = compute(study()).set_index(["method", "seed", "metric", "group"])["value"]
    values.index = values.index.droplevel("group")
    assert values["single_task", 0, "average_accuracy"] == pytest.approx(0.9)
    assert values["dense", 0, "average_accuracy"] == pytest.approx((0.1 - 1.1 + 0.9) / 3)
    assert values["dense", 0, "forgetting"] == pytest.approx((0.8 + 2.0) / 2)


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize(
    ("kinds", "label"),
    [
        ({"a": "accuracy", "b": "accuracy"}, "accuracy"),
        ({"a": "r2", "b": "r2"}, "R2"),
        ({"a": "f1", "b": "r2"}, "score (R2, F1)"),
        (KINDS, "score (accuracy, R2, F1)"),
    ],
)
def test_tables_and_reports_say_what_is_averaged(kinds, label, said) -> None:
    data = study(kinds, said=said)
    assert data.score == label
    table = table_data(data)
    assert table.columns[0] == f"average {label}"
    assert table.note.startswith(
        "Accuracies in points (per cent)." if label == "accuracy" else label[0].upper() + label[1:]
    )
    text = report(data)
    assert f"average {label}" in text


def test_figures_are_drawn_below_0(tmp_path: Path) -> None:
    written = plot_all(study(), tmp_path, ["svg"])
    names = {path.stem for path in written}
    assert {"forgetting", "average_accuracy", "accuracy_matrix", "cost"} <= names
    text = (tmp_path / "forgetting.svg").read_text()
    assert "test score (accuracy, R2, F1) (%)" in text
    assert re.search(r">-\d", text)  # a tick below 0
    assert (
        "test accuracy (%)"
        in (
            plot_all(
                study({"a": "accuracy", "b": "accuracy"}), tmp_path, ["svg"], only=["forgetting"]
            )
        )[0].read_text()
    )


def test_r2_may_be_below_0_and_none_above_1() -> None:
    data = study()
    for name, score in KINDS.items():
        for value, fine in ((-0.5, score == "r2"), (1.5, False)):
            own = (data.rows["task"] == name) & (data.rows["metric"] == score)
            rows = data.rows.assign(value=data.rows["value"].mask(own, value))
            pairs = pd.DataFrame([("dense", 0, "kinds", name, value)], columns=list(PAIR_COLUMNS))
            for changed in ({"rows": rows}, {"pairs": pairs}):
                if fine:
                    replace(data, **changed)
                    continue
                with pytest.raises(InputError, match="give shares, not per cent"):
                    replace(data, **changed)


def test_a_task_with_rows_of_several_scores_counts_by_the_first() -> None:
    data = study({"a": "accuracy", "b": "accuracy"})
    more = data.rows[data.rows["metric"] == "accuracy"].assign(metric="f1", value=7.0)
    both = replace(data, rows=pd.concat([data.rows, more]))
    assert both.score == "accuracy"
    assert compute(both).equals(compute(data))
    assert score_rows(both.rows)["metric"].unique().tolist() == ["accuracy"]
    assert score_label([]) == "accuracy"


def test_regression_at_its_mean_is_at_chance() -> None:
    fallen = study({"a": "r2", "b": "r2", "c": "f1"}, lost=0.45)
    assert warnings(fallen) == [
        "dense ends at chance on 1 of 3 tasks (within 2 points of guessing)."
    ]
    assert np.isclose(fallen.accuracies()["dense", 0][-1, 0], 0.0)
