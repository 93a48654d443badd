"""cl-moe run: what it prints, leaves behind, refuses, and what Ctrl-C does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl_moe.cli.options import parse_seeds
from cl_moe.errors import InputError
from cl_moe.runs.folder.loading import load_study

SLEEPY = '''
import pathlib
import time


def sleepy(context, /, *, marker: str):
    """Sleep while the marker is there."""
    from cl_moe.strategies.methods.dense import dense

    method = dense(context)

    train = method.strategy.train

    def wait_and_train(*given, **named):
        while pathlib.Path(marker).exists():
            time.sleep(0.05)
        return train(*given, **named)

    method.strategy.train = wait_and_train
    return method
'''


def test_a_run_prints_its_table_and_keeps_its_results(
    call: Callable[..., Any], scenario: Path
) -> None:
    said = call("run", scenario, "--seeds", "0,3", "--methods", "dense", "--no-figures")
    assert said.code == 0
    assert "average accuracy" in said.out
    assert "results: runs/tiny" in said.out
    assert "tiny: 2 runs to do" in said.err
    data = load_study("runs/tiny")
    assert (data.method_names, data.seeds, data.baseline) == (["dense"], [0, 3], "dense")


def test_the_table_holds_what_was_asked_for(call: Callable[..., Any], scenario: Path) -> None:
    assert call("run", scenario, "--no-figures").code == 0
    said = call("run", scenario, "--methods", "ewc", "--seeds", "1", "--no-figures")
    assert said.code == 0
    assert "│ ewc " in said.out
    assert "│ dense " not in said.out
    assert "Mean over 1 seed, which is fewer than 3;" in said.out
    assert "cl-moe summary runs/tiny shows all" in said.out
    everything = call("summary", "runs/tiny").out
    assert "│ dense " in everything
    assert "Mean over 2 seeds, which is fewer than 3;" in " ".join(everything.split())


def test_quiet_is_quiet(call: Callable[..., Any], scenario: Path) -> None:
    said = call("run", scenario, "--seeds", "1", "--methods", "dense", "--no-figures", "--quiet")
    assert said.code == 0
    assert said.err == ""


def test_settings_change_the_scenario(call: Callable[..., Any], scenario: Path) -> None:
    words = ("run", scenario, "--seeds", "1", "--no-figures", "--out", "o")
    assert call(*words, "--set", "training.epochs=2", "--set", "methods.ewc.strength=7").code == 0
    rows = load_study("o").rows
    assert rows["epoch"].max() == 2
    again = call(*words)
    assert again.code == 2
    assert "training.epochs is 2 there and 1 here" in again.err
    assert call(*words, "--fresh", "--no-curves").code == 0
    assert load_study("o").rows["epoch"].isna().all()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("none.toml",), "error: no scenario file or name 'none.toml'"),
        (("tiny.toml", "--seeds", "x"), "error: --seeds: 'x' is invalid"),
        (("tiny.toml", "--methods", "dens"), "no method 'dens'; did you mean 'dense'?"),
        (("tiny.toml", "--methods", ","), "error: --methods: ',' contains no name"),
        (("tiny.toml", "--set", "training.epohcs=3"), "did you mean 'epochs'?"),
        (("tiny.toml", "--jobs", "0"), "error: jobs: 0 is not a whole number"),
        (("tiny.toml", "--jobs", "many"), "Invalid value for '--jobs'"),
        (("tiny.toml", "--device", "abacus"), "error: device: 'abacus' is not a torch device"),
        (("tiny.toml", "--data-dir", "nowhere"), "error: data_dir: 'nowhere' is not a folder"),
        (("tiny.toml", "--set", "methods.ewc.strength=-1"), "strength"),
        ((), "Missing argument 'SCENARIO'"),
    ],
)
def test_what_the_user_can_put_right(
    call: Callable[..., Any], scenario: Path, words: tuple[str, ...], wanted: str
) -> None:
    said = call("run", *words)
    assert said.code == 2
    assert wanted in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert list(scenario.parent.rglob("study.json")) == []


@pytest.mark.parametrize("out", ["tiny.toml/inside", "x" * 300])
def test_a_folder_that_cannot_be_made(call: Callable[..., Any], scenario: Path, out: str) -> None:
    said = call("run", scenario, "--quiet", "--out", out)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert out in said.err
    assert sorted(path.name for path in scenario.parent.iterdir()) == ["tiny.toml"]


def test_all_problems_stand_on_lines_of_their_own(call: Callable[..., Any], scenario: Path) -> None:
    scenario.write_text(scenario.read_text().replace("epochs", "epohcs").replace("hidden", "hiden"))
    lines = call("run", scenario).err.splitlines()
    assert [line.partition(".")[0] for line in lines] == ["error: network", "error: training"]


def test_a_bug_keeps_its_traceback(
    call: Callable[..., Any], scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("cl_moe.streams.scenario.read_scenario", bug)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        call("run", scenario)


def test_seeds_that_are_no_numbers() -> None:
    with pytest.raises(InputError, match="give a number of seeds"):
        parse_seeds("0,x")


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_ctrl_c_keeps_whole_runs_and_the_same_command_goes_on(
    call: Callable[..., Any], scenario: Path, monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    folder, marker = scenario.parent, scenario.parent / "marker"
    marker.touch()
    (folder / "sleeping.py").write_text(SLEEPY)
    method = f'\n[[methods]]\nname = "nap"\ntype = "sleeping:sleepy"\nmarker = "{marker}"\n'
    scenario.write_text(scenario.read_text() + method)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(folder)
    words = ["run", "tiny.toml", "--methods", "dense,nap", "--seeds", "1", "--no-figures"]
    words += ["--jobs", jobs]
    program = "import cl_moe.cli; cl_moe.cli.main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        # a shell lets what it starts in the background ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        whole = folder / "runs" / "tiny" / "runs" / "dense" / "seed_0" / "rows.csv"
        end = time.monotonic() + 120
        while not whole.exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        assert process.stderr is not None
        err = process.stderr.read()
    assert process.returncode == 130
    assert "stopped; 1 of 2 runs whole, kept in runs/tiny" in err
    assert f"to resume: cl-moe {' '.join(words)}" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in (folder / "runs" / "tiny").iterdir()) == [
        "digests.json",
        "runs",
        "study.json",
    ]
    before = whole.stat().st_mtime_ns
    marker.unlink()
    assert call(*words).code == 0
    assert load_study("runs/tiny").method_names == ["dense", "nap"]
    assert whole.stat().st_mtime_ns == before


FAILING = '''
def fail(context, /):
    """Raise what no one expects, in lines of its own."""
    raise ValueError("matrix contains invalid entries\\nat row 3")
'''


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_run_that_fails_keeps_the_table_of_the_others(
    call: Callable[..., Any], scenario: Path, jobs: str
) -> None:
    (scenario.parent / "failing.py").write_text(FAILING)
    words = ["run", scenario.name, "--methods", "dense,failing.py:fail", "--seeds", "1"]
    said = call(*words, "--jobs", jobs, "--quiet")
    assert said.code == 1
    assert "│ dense " in said.out
    assert "report:  runs/tiny/report.html" in said.out
    file = "runs/tiny/failures/fail-seed_0.txt"
    assert said.err.splitlines()[:2] == [
        "error: 1 run failed; all others are kept",
        f"fail, seed 0: ValueError: matrix contains invalid entries (traceback: {file})",
    ]
    assert "to retry: cl-moe run tiny.toml" in said.err
    assert "Traceback" not in said.out + said.err
    assert "at row 3" in Path(file).read_text()
    assert (
        f"Failed: fail, seed 0: ValueError: matrix contains invalid entries (traceback: {file})"
        in (call("summary", "runs/tiny").out)
    )
    assert call(*words[:3], "dense", *words[4:], "--fresh", "--no-figures").code == 0
    assert not Path(file).parent.exists()


def test_where_all_runs_fail_there_is_no_table(call: Callable[..., Any], scenario: Path) -> None:
    (scenario.parent / "failing.py").write_text(FAILING)
    said = call("run", scenario, "--methods", "failing.py:fail", "--seeds", "2", "--quiet")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: 2 runs failed")
