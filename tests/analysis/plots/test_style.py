from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import matplotlib as mpl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cl_moe import catalog
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots.style import FIXED, context, evenly, figure, legend, short, styles


def test_twelve_methods_and_the_references_look_different(study: StudyData) -> None:
    names = [*(f"m{i}" for i in range(12)), "single_task", "joint"]
    types = [*["dense"] * 12, "single_task", "joint"]
    methods = pd.DataFrame({"method": names, "type": types})
    data = replace(
        study, rows=study.rows.iloc[:0], events=[], timings=study.timings.iloc[:0],
        methods=methods, baseline=None,
    )  # fmt: skip
    found = styles(data)
    assert len(set(found.values())) == 14
    assert len({style.marker for style in found.values()}) == 14
    assert found["single_task"] == FIXED["single_task"]


@pytest.mark.parametrize("left_out", ["", "rwalk", "ewc_avalanche", "packnet"])
@pytest.mark.parametrize("variants", [3, 5, 12, 40])
def test_every_type_and_its_variants_look_different(
    study: StudyData, variants: int, left_out: str
) -> None:
    kinds = [kind.replace("_", "-") for kind in FIXED if kind != left_out]
    names = [*kinds, *(f"variant-{i}" for i in range(variants))]
    types = [*kinds, *["moe"] * variants]
    data = replace(
        study, rows=study.rows.iloc[:0], events=[], timings=study.timings.iloc[:0],
        methods=pd.DataFrame({"method": names, "type": types}), baseline=None,
    )  # fmt: skip
    found = styles(data).values()
    assert len(set(found)) == len(names)
    points = {(style.colour, style.marker) for style in found}  # a scatter plot shows no dashes
    assert len(points) == len(names)


def test_a_methods_look_does_not_depend_on_which_ran(study: StudyData) -> None:
    part = replace(study, rows=study.rows[study.rows["method"] == "ewc"])
    assert styles(part)["ewc"] == styles(study)["ewc"]


def test_a_type_looks_the_same_in_every_study(study: StudyData) -> None:
    empty = replace(
        study, rows=study.rows.iloc[:0], events=[], timings=study.timings.iloc[:0], baseline=None
    )
    names = ["own", "moe", "second", "dense-wide"]
    types = ["a:B", "moe", "moe", "dense-wide"]
    found = styles(replace(empty, methods=pd.DataFrame({"method": names, "type": types})))
    assert list(found) == names
    assert found["moe"] == styles(study)["experts"] == FIXED["moe"]
    assert found["dense-wide"] == FIXED["dense_wide"]
    assert len({style.marker for style in found.values()}) == 4
    assert len(set(FIXED.values())) == len({style.marker for style in FIXED.values()}) == len(FIXED)


def test_the_catalogues_methods_have_a_look() -> None:
    assert set(catalog.names("method")) >= set(FIXED)


def test_a_long_legend_leaves_the_panels_their_room() -> None:
    styles_of = {f"a method with a long name {i}": FIXED["moe"] for i in range(12)}
    drawn = figure(3.5, 2.5)
    legend(drawn, styles_of)
    assert drawn.get_figheight() > 3.2


def test_settings_are_undone(make: Callable[..., StudyData]) -> None:
    before = dict(mpl.rcParams)
    with context():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert dict(mpl.rcParams) == before


@given(st.integers(1, 200), st.integers(1, 30))
def test_evenly_keeps_the_ends_and_the_limit(count: int, most: int) -> None:
    found = evenly(count, most)
    assert found == sorted(set(found))
    assert len(found) == min(count, most)
    assert found[0] == 0
    assert most == 1 or found[-1] == count - 1


@given(st.text(min_size=1, max_size=60))
def test_short_names_fit(name: str) -> None:
    (found,) = short([name], 16)
    assert len(found) <= 16
    assert len(name) > 16 or found == name
