from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots import average_data, draw_average, draw_forgetting, forgetting_data
from cl_moe.analysis.plots.highlight import highlighted, others_line, styles_highlighted
from cl_moe.analysis.plots.style import OTHER

Maker = Callable[..., StudyData]
NAN = np.nan
ENDS = {
    "dense": 0.3,
    "ewc": 0.4,
    "si": 0.5,
    "replay": 0.7,
    "packnet": 0.8,
    "ridge": 0.2,
    "single_task": 0.6,
    "joint": 0.95,
    "moe": 0.9,
}


def study_with(study_of: Maker, ends: dict[str, float]) -> StudyData:
    data = study_of({m: [[[v, NAN], [v, v]]] * 3 for m, v in ends.items()})
    event = {"method": "moe", "seed": 0, "task": 0, "name": "t0", "kind": "fresh", "sentence": ""}
    return replace(data, events=[{**event, "path": []}] if "moe" in ends else [])


def test_the_five_are_moe_dense_ewc_alone_and_the_best_of_the_others(study_of: Maker) -> None:
    data = study_with(study_of, ENDS)
    assert highlighted(data) == ["dense", "ewc", "packnet", "single_task", "moe"]


def test_a_method_that_is_missing_leaves_its_place_to_the_next_best(study_of: Maker) -> None:
    without = {m: v for m, v in ENDS.items() if m not in ("ewc", "single_task")}
    found = highlighted(study_with(study_of, without))
    assert found == ["dense", "replay", "packnet", "joint", "moe"]


def test_five_or_fewer_all_stand_out(study: StudyData) -> None:
    assert highlighted(study) == study.method_names
    assert others_line(styles_highlighted(study)) == []


def test_a_method_that_diverged_is_not_the_best_of_the_others(study_of: Maker) -> None:
    data = study_with(study_of, ENDS)
    lost = pd.DataFrame(
        [("packnet", 0, 1, "t0", "loss", np.inf, NAN)], columns=list(data.rows.columns)
    )
    assert "packnet" not in highlighted(replace(data, rows=pd.concat([data.rows, lost])))


def test_grey_methods_are_thin_lines_behind_and_one_entry_of_the_legend(study_of: Maker) -> None:
    data = study_with(study_of, ENDS)
    for drawn in (draw_forgetting(forgetting_data(data)), draw_average(average_data(data))):
        (legend,) = drawn.legends
        entries = [text.get_text() for text in legend.get_texts()]
        assert entries == ["dense", "ewc", "packnet", "single_task", "moe", "4 others"]
        lines = drawn.axes[0].lines
        grey = [line for line in lines if line.get_color() == OTHER.colour]
        assert len(grey) == 4
        assert max(line.get_zorder() for line in grey) < min(
            line.get_zorder() for line in lines if line not in grey
        )


def test_a_few_grey_methods_are_named(study_of: Maker) -> None:
    some = {m: v for m, v in ENDS.items() if m not in ("si", "replay")}
    (entry,) = others_line(styles_highlighted(study_with(study_of, some)))
    assert entry.get_label() == "ridge, joint"
