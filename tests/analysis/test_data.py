from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cl_moe.analysis.data import StudyData, accuracy_matrix, by_run, learning_curves
from cl_moe.errors import InputError


def test_a_missing_column_is_named_with_the_nearest_one(study: StudyData) -> None:
    with pytest.raises(InputError, match=r"rows: no column 'after_task'; did you mean 'after'"):
        replace(study, rows=study.rows.rename(columns={"after_task": "after"}))


def test_all_problems_come_at_once(study: StudyData) -> None:
    rows = study.rows.assign(task=study.rows["task"].replace("mnist", "mnits"))
    rows.loc[rows.index[0], "value"] = 97.0
    with pytest.raises(InputError) as caught:
        replace(study, rows=rows, baseline="dens")
    text = str(caught.value)
    assert "task 'mnits' is not in the table of tasks; did you mean 'mnist'?" in text
    assert "baseline: 'dens'" in text
    assert "outside 0..1" in text
    assert "per cent" in text


def test_rows_given_twice_are_refused(study: StudyData) -> None:
    import pandas as pd

    with pytest.raises(InputError, match="1 are given twice"):
        replace(study, rows=pd.concat([study.rows, study.rows.iloc[:1]]))


def test_rows_after_the_last_task_are_refused(study: StudyData) -> None:
    rows = study.rows.assign(after_task=study.rows["after_task"].replace(0, 99))
    with pytest.raises(InputError, match="rows: after_task 99 of 6 tasks"):
        replace(study, rows=rows)


def test_events_of_a_wrong_kind_are_refused(study: StudyData) -> None:
    first, *others = study.events
    with pytest.raises(InputError) as caught:
        replace(study, events=[{**first, "task": "x", "path": 3}, *others])
    assert caught.value.problems == [
        "events[0].task: 'x' has the wrong type",
        "events[0].path: 3 has the wrong type",
    ]


def test_pairs_are_looked_at_as_rows_are(study: StudyData, paired_study: StudyData) -> None:
    import pandas as pd

    pairs = paired_study.pairs
    with pytest.raises(InputError, match="pairs: no column 'after'"):
        replace(study, pairs=pairs.drop(columns="after"))
    wrong = pairs.assign(after=pairs["after"].replace("mnist", "mnits"), value=97.0)
    with pytest.raises(InputError) as caught:
        replace(study, pairs=pd.concat([wrong, wrong.iloc[:1]]))
    text = str(caught.value)
    assert "pairs: task 'mnits' is not in the table of tasks; did you mean 'mnist'?" in text
    assert "pairs: 50 accuracies are outside 0..1" not in text
    assert "pairs: 51 accuracies are outside 0..1" in text
    assert "pairs: 1 are given twice" in text


@pytest.mark.parametrize("table", ["tasks", "methods"])
def test_names_must_differ(study: StudyData, table: str) -> None:
    import pandas as pd

    frame = getattr(study, table)
    with pytest.raises(InputError, match="names must differ"):
        replace(study, **{table: pd.concat([frame, frame.iloc[:1]])})


def test_events_need_their_keys_and_a_known_method(study: StudyData) -> None:
    with pytest.raises(InputError, match=r"events\[0\]: no seed, task"):
        replace(study, events=[{"method": "experts"}])
    with pytest.raises(InputError, match="events: method 'expert' is not"):
        replace(study, events=[{**study.events[0], "method": "expert"}])


def test_epoch_may_be_left_out_and_tasks_come_in_order(study: StudyData) -> None:
    whole = study.rows[study.rows["epoch"].isna()].drop(columns="epoch")
    data = replace(study, rows=whole, tasks=study.tasks.iloc[::-1])
    assert data.rows["epoch"].isna().all()
    assert data.stream_tasks == study.stream_tasks
    assert data.groups()["low_resource"] == ["mnist-inverted", "kmnist-low"]
    assert list(data.groups(probe=True)) == ["unseen"]


def test_matrix_leaves_out_curves_probes_and_other_runs(study: StudyData) -> None:
    a_TT = accuracy_matrix(study.rows, "dense", 1, study.stream_tasks)
    assert np.isnan(a_TT[np.triu_indices(6, 1)]).all()
    assert not np.isnan(a_TT[np.tril_indices(6)]).any()
    np.testing.assert_array_equal(a_TT, study.accuracies()["dense", 1])
    row = study.rows.query(
        "method == 'dense' and seed == 1 and after_task == 4 and task == 'fashion'"
    )
    assert a_TT[4, 1] == row["value"].item()


def test_a_run_without_rows_has_an_empty_matrix(study: StudyData) -> None:
    assert np.isnan(accuracy_matrix(study.rows, "dense", 99, study.stream_tasks)).all()


def test_learning_curves_are_the_rows_with_epochs(study: StudyData) -> None:
    curves = learning_curves(study.rows, "experts", 0)
    assert list(curves) == study.stream_tasks
    assert [epoch for epoch, _ in curves["kmnist"]] == list(range(6))


def test_a_study_without_rows_is_allowed(study: StudyData) -> None:
    empty = replace(study, rows=study.rows.iloc[:0])
    assert empty.seeds == []
    assert empty.accuracies() == {}
    assert by_run(empty.rows) == {}


def test_importing_the_room_loads_no_drawing_and_no_statistics() -> None:
    code = (
        "import sys, cl_moe.analysis as a; "
        "assert not {'matplotlib', 'seaborn', 'scipy', 'pandas'} & set(sys.modules); "
        "assert callable(a.report) and callable(a.table) and callable(a.summary)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
