"""Metrics and figures from outside: by entry point, by reference, and what is said of bad ones."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from cl_moe import catalog
from cl_moe.analysis import compute, plot_all, report, summary_records, table_data
from cl_moe.analysis.metrics import METRICS, Metric
from cl_moe.analysis.plots import FIGURES, which
from cl_moe.analysis.plots.base import FigureSpec
from cl_moe.analysis.plots.style import AbsentError, figure
from cl_moe.errors import InputError

MODULE = "cl_moe_outside"


def last(a_TT, columns=None):
    return float(a_TT[-1, -1])


def zeroes(a_TT, columns=None):
    a_TT[:] = 0
    return 0.0


def draw(values):
    drawn = figure(2, 2)
    drawn.subplots().plot(values)
    return drawn


def missing(data):
    raise AbsentError("needs what nobody has")


def bug(*arguments):
    raise KeyError("a bug")


@pytest.fixture(autouse=True)
def module(monkeypatch):
    made = types.ModuleType(MODULE)
    made.last = Metric("last accuracy", "share", True, "the last accuracy", last)
    made.undefined = Metric("no value", "share", True, "more", lambda a, c=None: float("nan"))
    made.careless = Metric("careless", "share", True, "nothing", zeroes)
    made.broken = Metric("broken", "share", True, "nothing", bug)
    made.empty = Metric("empty", "share", True, "nothing")
    made.lines = FigureSpec("some accuracy", lambda data: data.rows["value"][:5], draw)
    made.absent = FigureSpec("nothing", missing, draw)
    made.fails = FigureSpec("nothing", bug, draw)
    made.fails_late = FigureSpec("nothing", lambda data: 3, bug)
    monkeypatch.setitem(sys.modules, MODULE, made)
    return made


@pytest.fixture
def declared(monkeypatch):
    """The last accuracy and the lines, as another package declares them."""
    entries = {
        "metric": (EntryPoint("last", f"{MODULE}:last", "cl_moe.metric"),),
        "figure": (EntryPoint("lines", f"{MODULE}:lines", "cl_moe.figure"),),
    }
    monkeypatch.setattr(catalog, "_entry_points", lambda kind: entries.get(kind, ()))


@pytest.fixture
def study(study_of):
    return study_of({"dense": [[[0.9, float("nan")], [0.5, 0.8]]]})


def test_what_is_declared_is_in_every_table_report_and_folder(study, declared, tmp_path):
    assert "last" in catalog.names("metric")
    values = compute(study).set_index("metric")["value"]
    assert values["last"] == 0.8
    assert table_data(study).columns[-1] == "last accuracy"
    assert which(study)["lines"] == ""
    text = report(study)
    assert "last accuracy" in text
    assert "- lines: some accuracy" in text
    assert tmp_path / "lines.png" in plot_all(study, tmp_path, ["png"])
    assert "data:image/png" in report(study, tmp_path / "page.html").read_text()


def test_what_is_named_is_there_beside_ours(study, tmp_path):
    own = replace(study, metrics=[f"{MODULE}:last"], figures=[f"{MODULE}:lines"])
    records = {(r["metric"], r["group"]): r["mean"] for r in summary_records(own)}
    assert records[f"{MODULE}:last", None] == 0.8
    assert "last accuracy" in table_data(own).columns
    assert "last accuracy" not in table_data(study).columns
    assert table_data(study, [f"{MODULE}:last"]).columns == ["last accuracy"]
    assert list(which(own)) == [*FIGURES, f"{MODULE}:lines"]
    (path,) = plot_all(study, tmp_path, ["png"], only=[f"{MODULE}:lines"])
    assert path.name == f"{MODULE}_lines.png"


def test_one_that_changes_its_matrix_changes_no_other(study):
    named = [f"{MODULE}:careless", f"{MODULE}:last"]
    values = compute(replace(study, metrics=named)).set_index("metric")["value"]
    assert values[named[0]] == 0
    assert values[named[1]] == 0.8
    assert values["average_accuracy"] == pytest.approx(0.65)


def test_one_of_ours_that_is_named_gets_its_column(study):
    assert "backward transfer" in table_data(replace(study, metrics=["backward_transfer"])).columns


def test_one_with_two_names_is_there_once(study, declared):
    own = replace(study, metrics=[f"{MODULE}:last"], figures=[f"{MODULE}:lines"])
    assert table_data(own).columns.count("last accuracy") == 1
    assert list(which(own)) == [*FIGURES, "lines"]


def test_what_is_undefined_or_absent_says_what_it_needs(study):
    own = replace(study, metrics=[f"{MODULE}:undefined"], figures=[f"{MODULE}:absent"])
    text = report(own)
    assert "no value: needs more" in text
    assert "(not drawn: needs what nobody has)" in text


@pytest.mark.parametrize(
    ("metrics", "figures", "problems"),
    [
        (["forgeting"], [], ["metrics: no metric is called 'forgeting'; did you mean 'forg"]),
        ([f"{MODULE}:lines"], [], [f"metrics: '{MODULE}:lines' is not a metric; give a cl_moe"]),
        ([f"{MODULE}:empty"], [], [f"metrics: '{MODULE}:empty' is not a metric; give a cl_moe"]),
        (["nowhere:m", "a:b"], [], ["metrics: 'nowhere:m' cannot be", "metrics: 'a:b' cannot be"]),
        ([f"{MODULE}:broken"], [], [f"metric '{MODULE}:broken' fails (KeyError: 'a bug'); fix"]),
        ([], ["nowhere:f", f"{MODULE}:last"], ["figures: 'nowhere:f' cannot", "figures: 'cl_moe"]),
        ([], [f"{MODULE}:fails"], [f"figure '{MODULE}:fails' fails (KeyError: 'a bug'); fix it"]),
        ([], [f"{MODULE}:fails_late"], [f"figure '{MODULE}:fails_late' fails (KeyError: 'a b"]),
    ],
)
def test_bad_ones_are_named(study, tmp_path, metrics, figures, problems):
    own = replace(study, metrics=metrics, figures=figures)
    with pytest.raises(InputError) as caught:
        report(own, tmp_path / "page.html")
    assert len(caught.value.problems) == len(problems)
    for problem, start in zip(caught.value.problems, problems, strict=True):
        assert problem.startswith(start)
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_is_not_known_is_refused_before_any_is_drawn(study, tmp_path):
    with pytest.raises(InputError, match="figures: no figure is called 'csot'; did you mean 'cost"):
        plot_all(study, tmp_path / "new", ["png"], only=["csot"])
    assert not (tmp_path / "new").exists()


def test_a_bug_in_one_of_ours_is_a_bug(study, monkeypatch):
    broken = {**METRICS, "forgetting": replace(METRICS["forgetting"], function=bug)}
    monkeypatch.setattr(sys.modules["cl_moe.analysis.metrics.compute"], "METRICS", broken)
    with pytest.raises(KeyError, match="a bug"):
        compute(study)
