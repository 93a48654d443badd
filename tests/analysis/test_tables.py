from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.tables import markdown, quantity, table, table_data, transfer_tables
from cl_moe.errors import InputError


def column(data: StudyData, name: str) -> dict[str, tuple[str, bool]]:
    found = table_data(data)
    at = found.columns.index(name)
    return {m: tuple(cells[at]) for m, cells in zip(found.methods, found.cells, strict=True)}


def test_columns_in_points_with_intervals_and_the_best_marked(study: StudyData) -> None:
    found = column(study, "average accuracy")
    assert found["experts"][0].startswith("81.8 ± ")
    assert {method for method, (_, best) in found.items() if best} == {"experts"}
    ties = column(study, "forgetting")
    assert ties["experts"][0] == ties["single_task"][0] == "0.0 ± 0.0"
    assert not any(best for _, best in ties.values())


@pytest.mark.parametrize(("seeds", "starred"), [(2, False), (3, True)])
def test_a_star_takes_three_seeds(
    study_of: Callable[..., StudyData], seeds: int, starred: bool
) -> None:
    data = study_of({m: [[[v]]] * seeds for m, v in (("dense", 0.5), ("moe", 0.9))})
    assert column(data, "average accuracy")["moe"][1] == starred


def test_a_lead_that_seeds_do_not_settle_has_no_star(study_of: Callable[..., StudyData]) -> None:
    def stars(ahead: list[float], behind: list[float]) -> list[bool]:
        data = study_of({"a": [[[v]] for v in ahead], "b": [[[v]] for v in behind]})
        return [best for _, best in column(data, "average accuracy").values()]

    assert stars([0.9, 0.8, 0.7], [0.8, 0.72, 0.58]) == [True, False]
    assert stars([0.9, 0.8, 0.7], [0.6, 0.85, 0.7]) == [False, False]
    assert stars([0.9], [0.5]) == [False, False]
    assert stars([0.9, 0.9, 0.9], [0.9, 0.9, 0.9]) == [False, False]


def test_where_less_is_better_the_least_has_the_star(study_of: Callable[..., StudyData]) -> None:
    nan = float("nan")
    runs = {m: [[[0.9, nan], [0.9 - lost - s, 0.8]] for s in (0, 0.01, 0.02)]
            for m, lost in (("a", 0.3), ("b", 0.1))}  # fmt: skip
    found = column(study_of(runs), "forgetting")
    assert [best for _, best in found.values()] == [False, True]


def test_steps_are_the_last_column_without_an_interval(study: StudyData) -> None:
    found = table_data(study)
    assert found.columns[-1] == "steps"
    assert {cells[-1].text for cells in found.cells} == {"2.4k"}
    assert "candidates" in found.note
    assert "candidates" not in table_data(study, ["steps"]).note


def test_groups_and_the_difference_to_the_baseline_have_columns(study: StudyData) -> None:
    found = table_data(study)
    assert found.columns[:2] == ["average accuracy", "against dense"]
    assert {"rich", "low resource", "unrelated"} <= set(found.columns)
    against = column(study, "against dense")
    assert against["experts"][0].startswith("+")
    assert against["dense"] == ("", False)


def test_wholly_undefined_columns_are_dropped(study_of: Callable[..., StudyData]) -> None:
    found = table_data(study_of({"dense": [[[0.8]]]}))
    assert found.columns == ["average accuracy"]
    assert "one seed has no interval" in found.note
    assert "*" not in found.note


def test_joint_is_not_in_the_race_and_costs_have_no_best(
    study_of: Callable[..., StudyData], study: StudyData
) -> None:
    data = study_of({m: [[[v]]] * 3 for m, v in (("a", 0.5), ("b", 0.6), ("joint", 0.9))})
    assert "Not compared: joint" in table_data(data).note
    found = column(data, "average accuracy")
    assert [found[m][1] for m in ("a", "b", "joint")] == [False, True, False]
    assert not any(best for _, best in column(study, "parameters").values())


def test_ten_seeds_print_the_bootstraps_ends(make: Callable[..., StudyData]) -> None:
    data = make(seeds=10, methods=[("experts", "moe")], probes=())
    assert "[" in column(data, "average accuracy")["experts"][0]
    console = Console(width=200, color_system=None, force_jupyter=False)
    with console.capture() as captured:
        console.print(table(data))
    assert "bootstrap ([low, high])" in captured.get()  # brackets are not taken for markup


def test_a_target_never_reached_is_said_and_is_not_the_best(study: StudyData) -> None:
    rows = study.rows.copy()
    bad = rows["task"].str.startswith("digits") & (rows["method"] == "ewc")
    rows.loc[bad, "value"] = 0.1
    found = column(replace(study, rows=rows), "samples to target")
    assert found["ewc"] == ("not reached", False)
    assert not found["experts"][1]  # the difference to ewc has no interval


def test_chosen_metrics_are_the_columns_and_unknown_ones_an_error(study: StudyData) -> None:
    assert table_data(study, ["forgetting", "steps"]).columns == ["forgetting", "steps"]
    with pytest.raises(InputError, match="did you mean 'forgetting'"):
        table_data(study, ["forgeting"])


def test_the_terminal_and_markdown_show_the_same(study: StudyData) -> None:
    out = io.StringIO()
    Console(file=out, width=250).print(table(study))
    text = markdown(table_data(study))
    for method in study.method_names:
        assert method in out.getvalue()
        assert f"| {method} |" in text
    assert "81.8 ± 0.5 *" in out.getvalue()
    assert "**81.8 ± 0.5** *" in text


def test_names_with_brackets_are_printed_as_they_are(study_of: Callable[..., StudyData]) -> None:
    out = io.StringIO()
    Console(file=out, width=200).print(table(study_of({"[bold]moe": [[[0.5]]]})))
    assert "[bold]moe" in out.getvalue()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.5, "share", "50.0"), (-0.0001, "share", "0.0"), (1_234_567, "count", "1.23M"),
     (2e9, "operations", "2G"), (3, "count", "3"), (13.25, "seconds", "13.2")],
)  # fmt: skip
def test_quantities(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_transfer_tables_are_numbered_and_signed(study: StudyData, paired_study: StudyData) -> None:
    assert transfer_tables(study) == []
    dense, experts = transfer_tables(paired_study)
    assert dense.title == "Transfer matrix of dense"
    assert experts.columns == [str(number) for number in range(6)]
    assert experts.methods[0] == "0 mnist"
    assert [cell.text for cell in experts.cells[1]] == ["", "", "0.0", "0.0", "0.0", "0.0"]
    assert "one seed has no interval" in experts.note


def test_intervals_of_gains_where_there_is_room(
    make: Callable[..., StudyData],
) -> None:
    def texts(count: int) -> list[str]:
        tasks = [(f"t{k}", "rich", None, None, 60, 0.5) for k in range(count)]
        data = make(seeds=2, methods=[("single_task", "single_task")], tasks=tasks, probes=())
        pairs = [("moe", seed, "t0", "t1", 0.2 + 0.1 * seed) for seed in range(2)]
        columns = ["method", "seed", "after", "task", "value"]
        data = replace(data, pairs=pd.DataFrame(pairs, columns=columns))
        return [found.cells[0][1].text for found in transfer_tables(data)]

    assert "±" in texts(8)[0]
    assert "±" not in texts(9)[0]
    assert texts(9)[0].startswith("-")
    assert texts(17) == []
