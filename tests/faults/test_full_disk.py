"""A disk that is full at the k-th write, a limit on the size of files, paths that cannot be."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors import SafetensorError

import cl_moe
from benchmarks.reliability.parts import full_disk as part
from benchmarks.reliability.parts.full_disk import FullDisk, run
from cl_moe import cli
from cl_moe.errors import InputError
from cl_moe.runs import single
from cl_moe.runs.folder import kept
from cl_moe.runs.folder.export import export
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.folder.unpack import unpack
from cl_moe.runs.plan import Job, RunResult
from cl_moe.streams.stream import TaskStream
from cl_moe.training.model import TaskModel

SCENARIO = """
name = "tiny"
seeds = 1
[sources.blobs]
type = "synthetic"
dim = 4
classes = 2
[[tasks]]
name = "a"
source = "blobs"
per_class = 4
test_per_class = 4
[network]
hidden = [4]
[training]
epochs = 1
min_steps = 0
[[methods]]
name = "dense"
[[methods]]
name = "ewc"
grid = { strength = [1, 2] }
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.toml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture
def _trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run that was made before return what it returned then."""
    made: dict[str, RunResult] = {}
    run_one = single.run_one

    def remembered(plan: Any, job: Job, stream: TaskStream, tell: Any) -> RunResult:
        if job.label not in made:
            made[job.label] = run_one(plan, job, stream, tell)
        return made[job.label]

    monkeypatch.setattr(single, "run_one", remembered)


@pytest.fixture
def full() -> Iterator[FullDisk]:
    with FullDisk() as disk:
        yield disk


def rows(folder: Path) -> pd.DataFrame:
    return load_study(folder).rows.sort_values(
        ["method", "task", "metric", "epoch"], ignore_index=True
    )


@pytest.mark.usefixtures("_trained_once")
def test_a_study_goes_on_wherever_the_disk_was_full(scenario: Path, full: FullDisk) -> None:
    cl_moe.run(scenario, out="first", progress=False)  # trains, with checkpoints
    full.at(None)
    cl_moe.run(scenario, out="whole", progress=False)
    writes, k = full.count, 0
    assert writes > 20
    for k in range(0, writes, 3):  # the harness tries all
        out = Path(f"full-{k}")
        full.at(k)
        with pytest.raises(OSError, match=f"No space left on device.*{out}") as error:
            cl_moe.run(scenario, out=out, progress=False)
        assert ".writing-" not in str(error.value)
        assert not [path for path in out.rglob("*") if path.name.startswith(".")]
        full.at(None)
        cl_moe.run(scenario, out=out, progress=False)
        pd.testing.assert_frame_equal(rows(out), rows(Path("whole")), check_exact=True)


@pytest.mark.filterwarnings("ignore")
def test_the_command_goes_on_after_some_writes() -> None:
    result = run(3)
    assert (result.cases, result.failures) == (3, 0), result.note


@pytest.mark.filterwarnings("ignore")
def test_a_lost_result_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "compared", lambda one, other: ["rows.csv differs"])
    assert run(1).wrong == 1


def test_a_run_goes_on_where_a_checkpoint_found_the_disk_full(
    scenario: Path, full: FullDisk
) -> None:
    how = {"methods": ["dense"], "seeds": 1, "checkpoint_steps": 1, "progress": False}
    cl_moe.run(scenario, out="whole", **how)
    writes = full.count
    for k in range(3, writes, max(1, writes // 6)):
        out = Path(f"full-{k}")
        full.at(k)
        with pytest.raises((OSError, InputError), match=f"{out}.*: No space left|No space.*{out}"):
            cl_moe.run(scenario, out=out, **how)
        full.at(None)
        cl_moe.run(scenario, out=out, **how)
        pd.testing.assert_frame_equal(rows(out), rows(Path("whole")), check_exact=True)
        assert not (out / "checkpoints").exists()


@pytest.mark.usefixtures("_trained_once")
def test_exports_are_whole_or_as_before(
    scenario: Path, full: FullDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cl_moe.runs.folder.export._draw", lambda folder, data: folder.mkdir())
    cl_moe.run(scenario, out="whole", progress=False)
    full.at(None)
    packed = export("whole", "packed").parent
    writes = full.count
    before = {path: path.read_bytes() for path in packed.iterdir() if path.is_file()}
    for k in range(writes):
        full.at(k)
        with pytest.raises(OSError, match=r"No space left on device.*packed"):
            export("whole", "packed")
        assert {p: p.read_bytes() for p in packed.iterdir() if p.is_file()} == before
        with pytest.raises(OSError, match=r"No space left on device.*new"):
            export("whole", "new")
    full.at(None)
    unpack("packed", "again")
    for k in range(full.count):
        full.at(k)
        with pytest.raises(OSError, match="No space left on device"):
            unpack("packed", "new")
    names = {path.name for path in scenario.parent.iterdir()}
    assert names == {"tiny.toml", "whole", "packed", "again"}


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Call the command in this process; return its exit code and standard error."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["cl-moe", *words])
        monkeypatch.setattr(sys, "path", list(sys.path))
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        return code, capsys.readouterr().err

    return run


@pytest.mark.usefixtures("_trained_once", "scenario")
def test_the_command_says_so_in_a_sentence(call: Callable[..., Any], full: FullDisk) -> None:
    full.at(9)
    code, err = call("run", "tiny.toml", "--quiet", "--no-figures")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: runs/tiny/")
    assert "No space left on device; free space, or give another path; the same command goes" in err
    full.at(None)
    assert call("run", "tiny.toml", "--quiet", "--no-figures") == (0, "")


def test_a_run_that_finds_the_disk_full_needs_no_traceback(
    call: Callable[..., Any], scenario: Path
) -> None:
    method = (
        "import errno\n"
        "from cl_moe.strategies.methods.dense import dense\n"
        "def fill(context, /):\n"
        "    method = dense(context)\n"
        "    def train(*given, **named):\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device', '/x/e0.npy')\n"
        "    method.strategy.train = train\n"
        "    return method\n"
    )
    (scenario.parent / "filling.py").write_text(method)
    code, err = call("run", "tiny.toml", "--methods", "filling.py:fill", "--quiet")
    assert code == 2
    assert "fill, seed 0: /x/e0.npy: No space left on device; free space" in err
    assert not (scenario.parent / "runs" / "tiny" / "failures").exists()


def test_a_model_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: TaskModel, path: Path) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(TaskModel, "save", fail)
    with pytest.raises(OSError, match="No space left on device") as error:
        kept.keep_model(TaskModel.__new__(TaskModel), tmp_path)
    assert error.value.errno == errno.ENOSPC


PROGRAM = "import cl_moe.cli; cl_moe.cli.main()"


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(scenario: Path) -> None:
    """The system's own error, in a process of its own; SIGXFSZ is ignored by Python."""
    words = [sys.executable, "-c", PROGRAM, "run", "tiny.toml", "--quiet", "--no-figures"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, resource.RLIM_INFINITY))

    done = subprocess.run(words, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "runs/tiny/study.json: File too large; free space" in done.stderr
    assert done.stderr.count("\n") == 1
    subprocess.run(words, check=True, capture_output=True)


@pytest.mark.usefixtures("scenario")
@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("runs/tiny", "error: runs/tiny: a file; give a folder"),
        ("runs", "error: runs"),
        ("runs/tiny/runs", "error: runs/tiny/runs/dense: Not a directory; give another path"),
    ],
)
def test_a_file_where_a_folder_should_be(call: Callable[..., Any], place: str, wanted: str) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    if place.count("/") == 2:
        assert call("run", "tiny.toml", "--quiet", "--no-figures")[0] == 0
        shutil.rmtree(place)
    Path(place).write_text("mine")
    code, err = call("run", "tiny.toml", "--quiet", "--no-figures")
    assert code == 2, err
    assert err.startswith(wanted)
    assert "Traceback" not in err
    assert Path(place).read_text() == "mine"


@pytest.mark.usefixtures("scenario")
def test_a_folder_where_a_file_should_be(call: Callable[..., Any]) -> None:
    Path("runs/tiny/study.json").mkdir(parents=True)
    code, err = call("run", "tiny.toml", "--quiet")
    assert (code, err) == (2, "error: runs/tiny/study.json: a folder; a file is wanted\n")


@pytest.mark.usefixtures("scenario")
@pytest.mark.parametrize("fails", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_that_may_not_be_written(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """As root may write everywhere, the system's answer is put in."""

    def refused(*_: object, **named: Any) -> None:
        raise OSError(fails, os.strerror(fails), str(named["dir"]))

    monkeypatch.setattr("cl_moe.storage.tempfile.mkstemp", refused)
    code, err = call("run", "tiny.toml", "--quiet")
    assert code == 2
    assert err.startswith(f"error: runs/tiny: {os.strerror(fails)}; give a path that you may write")
    assert not Path("runs").exists()


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    (tmp_path / "study.json").write_text("{}")
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(cl_moe.InputError, match=r"study\.json: cannot be read \(Permission denied"):
        load_study(tmp_path)
