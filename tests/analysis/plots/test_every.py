from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots import FIGURES, draw_average, plot_all, which
from cl_moe.analysis.plots.curves import average_data
from cl_moe.analysis.plots.every import rendered
from cl_moe.errors import InputError


@pytest.fixture(scope="module")
def drawn(study: StudyData, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list]:
    said: list[str] = []
    return plot_all(study, tmp_path_factory.mktemp("figures"), ["svg"], said.append), said


def test_every_figure_is_written_or_said_to_be_missing(drawn: tuple[list[Path], list]) -> None:
    paths, said = drawn
    assert [path.stem for path in paths] == [
        "forgetting", "average_accuracy", "accuracy_matrix", "cost", "samples",
        "usage_experts", "timeline_experts",
    ]  # fmt: skip
    assert all(path.stat().st_size > 5000 for path in paths)
    assert said == [
        "no figure transfer_matrix: needs pairs of tasks (cl-moe transfer measures them) and single_task"
    ]


def test_text_stays_text(drawn: tuple[list[Path], list]) -> None:
    paths, _ = drawn
    assert "fashion-permuted" in paths[0].read_text(encoding="utf-8")


def test_no_half_written_file_is_left(drawn: tuple[list[Path], list]) -> None:
    paths, _ = drawn
    assert sorted(paths) == sorted(paths[0].parent.iterdir())


def test_no_pyplot_figure_is_opened(study: StudyData) -> None:
    before = plt.get_fignums()
    rendered(draw_average(average_data(study)), "pdf")
    assert plt.get_fignums() == before


@pytest.mark.parametrize("form", ["png", "pdf"])
def test_the_same_figure_is_the_same_file(study: StudyData, form: str) -> None:
    one, other = (rendered(draw_average(average_data(study)), form) for _ in range(2))
    assert one == other


def test_only_what_is_asked_for_is_drawn(paired_study: StudyData, tmp_path: Path) -> None:
    (path,) = plot_all(paired_study, tmp_path, ["svg"], only=["transfer_matrix"])
    assert path.name == "transfer_matrix.svg"
    assert "gain over single_task" in path.read_text(encoding="utf-8")


def test_which_says_why(study: StudyData) -> None:
    found = which(study)
    assert list(found) == list(FIGURES)
    assert [name for name, reason in found.items() if reason] == ["transfer_matrix"]
    assert "decisions" in which(replace(study, events=[]))["usage"]


def test_an_unknown_format_is_an_error(study: StudyData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'jpgg' is not known"):
        plot_all(study, tmp_path, ["jpgg"])


def test_names_that_make_the_same_file_name_do_not_overwrite(
    study: StudyData, tmp_path: Path
) -> None:
    methods = pd.DataFrame({"method": ["a b", "a-b"], "type": ["moe", "moe"]})
    events = [{**event, "method": name} for event in study.events for name in methods["method"]]
    data = replace(
        study, methods=methods, events=events, rows=study.rows.iloc[:0],
        timings=study.timings.iloc[:0], baseline=None,
    )  # fmt: skip
    paths = plot_all(data, tmp_path, ["svg"], say=lambda _: None)
    assert len({path.name for path in paths}) == len(paths) == 4


def test_an_empty_study_draws_nothing(make: Callable[..., StudyData], tmp_path: Path) -> None:
    data = make(seeds=1)
    empty = replace(data, rows=data.rows.iloc[:0], events=[])
    said: list[str] = []
    assert plot_all(empty, tmp_path, say=said.append) == []
    assert len(said) == len(FIGURES)
