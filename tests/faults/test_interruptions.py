"""Ctrl-C, SIGTERM and SIGKILL: what is said, what ends, and what the next start removes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import cl_moe
from cl_moe import cli, storage
from cl_moe.cli import stopping
from cl_moe.cli.stopping import Terminated
from cl_moe.errors import InputError
from cl_moe.moe.offload import OffloadStore
from cl_moe.runs.folder.export import export
from cl_moe.runs.folder.loading import load_study
from cl_moe.storage import EXPERTS, leftovers, remove_leftovers, temporary_folder

DEAD = f"{storage._host()}-999999999-abcdefgh"
WATCHING = """
import sys, time
from cl_moe.runs.orphans import end_with
end_with(0)
print("watching", flush=True)
while True:  # no call that gives the interpreter to another thread
    sum(range(1000))
"""
SCENARIO = """
name = "tiny"
seeds = 2
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
name = "nap"
type = "sleeping.py:sleepy"
"""
SLEEPY = '''
import os
import pathlib
import time


def sleepy(context, /):
    """Tell the process and then train for a long time."""
    from cl_moe.strategies.methods.dense import dense

    method = dense(context)

    def train(*given, **named):
        pathlib.Path(f"worker-{os.getpid()}").touch()
        time.sleep(300)

    method.strategy.train = train
    return method
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scenario whose second method sleeps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(SCENARIO)
    (tmp_path / "sleeping.py").write_text(SLEEPY)
    return tmp_path


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


def until(found: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    end = time.monotonic() + 120
    while not (value := found()):
        assert process.poll() is None, process.communicate()
        if time.monotonic() > end:
            process.kill()
            raise TimeoutError
        time.sleep(0.02)
    return value


def driver(*words: str) -> subprocess.Popen[str]:
    """Start the command in another process, which a shell may have let ignore SIGINT."""
    return subprocess.Popen(
        [sys.executable, "-m", "cl_moe", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_worker_ends_with_the_pipe_of_its_driver() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WATCHING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(b"a job that is not read")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.stdin.close()
        try:
            assert process.wait(2) == 1
        finally:
            process.kill()


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():  # a process that has ended may wait for a parent to take note
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return storage.is_alive(pid)


@pytest.mark.slow
def test_workers_of_a_killed_driver_end_within_two_seconds(folder: Path) -> None:
    """And what they and the driver left is removed by the next start, which goes on."""
    with driver("run", "tiny.toml", "--jobs", "2", "--quiet", "--keep-models") as process:
        until(lambda: len([*folder.glob("worker-*")]) == 2, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    workers = [int(mark.name.removeprefix("worker-")) for mark in folder.glob("worker-*")]
    end = time.monotonic() + 2
    while any(map(alive, workers)):
        assert time.monotonic() < end, "a worker trains on"
        time.sleep(0.05)
    assert (folder / "runs/tiny/.cl_moe-owner.json").exists()
    (folder / "sleeping.py").write_text(SLEEPY.replace("method.strategy.train = train", ""))
    study = cl_moe.run("tiny.toml", out="runs/tiny", progress=False)
    assert study.data.seeds == [0, 1]
    names = {path.name for path in (folder / "runs/tiny").iterdir()}
    assert names == {"study.json", "digests.json", "runs"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"]
)
def test_a_signal_stops_a_study_and_tells_how_to_go_on(
    folder: Path, number: int, code: int
) -> None:
    words = ("run", "tiny.toml", "--seeds", "1", "--jobs", "2", "--quiet")
    with driver(*words) as process:
        (mark,) = until(lambda: [*folder.glob("worker-*")], process)
        until((folder / "runs/tiny/runs/dense/seed_0").exists, process)
        os.kill(process.pid, number)
        _, err = process.communicate()
    assert process.returncode == code
    assert err.splitlines() == [
        "stopped; 1 of 2 runs whole, kept in runs/tiny",
        f"to resume: cl-moe {' '.join(words)}",
    ]
    assert not alive(int(mark.name.removeprefix("worker-")))


@pytest.mark.parametrize(
    ("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)], ids=["int", "term"]
)
@pytest.mark.parametrize(
    "place",
    [
        "cl_moe.runs.planning.make_plan",
        "cl_moe.runs.driver.Driver.prepare",
        "cl_moe.runs.study.load_study",
        "cl_moe.cli.results.draw",
    ],
)
def test_an_early_or_late_interrupt_is_a_sentence(
    folder: Path,
    call: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    stop: type[BaseException],
    code: int,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise stop

    monkeypatch.setattr(place, interrupted)
    words = ["run", "tiny.toml", "--methods", "dense", "--quiet"]
    found, err = call(*words)
    assert (found, err) == (code, f"stopped\nto resume: cl-moe {' '.join(words)}\n")
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert call(*words, "--no-figures") == (0, "")


def test_an_interrupt_of_the_parser_is_a_sentence(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(typer.core.TyperGroup, "parse_args", interrupted)
    code, err = call("list")
    assert code == 130
    assert err.endswith("stopped\nto resume: cl-moe list\n")


def test_an_interrupt_of_the_imports_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cl_moe import __main__ as program

    class Interrupted:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cl_moe.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "cl_moe.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as stop:
        program.main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "stopped before anything was done\n"


@pytest.fixture
def default_sigterm() -> Iterator[None]:
    """SIGTERM as in a new process: Ray leaves a handler of its own."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("default_sigterm")
def test_sigterm_is_an_interrupt_while_a_command_runs() -> None:
    with pytest.raises(Terminated), stopping.sigterm_as_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    handler: Any = lambda *_: None  # noqa: E731 - of a program that calls the command
    signal.signal(signal.SIGTERM, handler)
    with stopping.sigterm_as_interrupt():
        assert signal.getsignal(signal.SIGTERM) is handler


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's folder for temporary files, empty."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    monkeypatch.undo()


def test_only_what_a_dead_process_of_this_host_left_is_removed(tmp_path: Path) -> None:
    mine = temporary_folder("x-", tmp_path)
    kept = [
        "x-notes",
        "x-abcdefgh",
        f"y-{DEAD}",
        f"x-{DEAD}.txt",
        f"x-{DEAD}-more",
        f"x-00000000-999999999-abcdefgh",  # noqa: F541 - of another host
        f"x-{storage._host()}-1-abcdefgh",
        f"x-{storage._host()}-{'9' * 30}-abcdefg",
    ]
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / f"x-{DEAD}").mkdir()
    (tmp_path / f"x-{DEAD}" / "e0.npy").touch()
    (tmp_path / f"x-{DEAD[:-1]}_").touch()
    (tmp_path / f"x-{DEAD[:-1]}0").symlink_to(mine)
    remove_leftovers(tmp_path, "x-")
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, *kept}


def test_offloaded_experts_of_a_killed_process_are_removed(temporary: Path) -> None:
    import torch

    program = (
        "import os, torch\n"
        "from cl_moe.moe.offload import OffloadStore\n"
        "store = OffloadStore()\n"
        "store.offload(torch.nn.Linear(2, 2))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    (left,) = temporary.iterdir()
    assert list(leftovers(temporary, EXPERTS)) == [left]
    store = OffloadStore()
    store.offload(torch.nn.Linear(2, 2))
    (own,) = temporary.iterdir()
    assert own != left


def test_a_start_removes_what_a_killed_one_left(
    stream: cl_moe.TaskStream, tmp_path: Path, temporary: Path
) -> None:
    out = tmp_path / "study"
    (out / "failures").mkdir(parents=True)
    for place in (temporary / f"{EXPERTS}{DEAD}", temporary / f"cl_moe-study-{DEAD}"):
        place.mkdir()
    (out / f".writing-{DEAD}" / "model").mkdir(parents=True)
    (out / f".writing-{DEAD[:-1]}0").touch()
    (out / "failures" / f".writing-{DEAD}").touch()
    (temporary / "cl_moe-experts-of-mine").mkdir()
    cl_moe.run(stream, ["dense"], seeds=1, out=out, progress=False)
    assert [path.name for path in temporary.iterdir()] == ["cl_moe-experts-of-mine"]
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def test_an_export_puts_back_what_a_killed_one_put_aside(
    stream: cl_moe.TaskStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its two renames: a page of findings is there only once."""
    monkeypatch.setattr("cl_moe.runs.folder.export._draw", lambda folder, data: folder.mkdir())
    cl_moe.run(stream, ["dense"], seeds=1, out=tmp_path / "study", progress=False)
    packed = export(tmp_path / "study", tmp_path / "packed").parent
    (packed / "findings.md").write_text("Blobs are easy.")
    aside = tmp_path / f".replacing-{DEAD}"
    aside.mkdir()
    packed.rename(aside / "packed")
    (tmp_path / f".exporting-{DEAD}").mkdir()
    export(tmp_path / "study", tmp_path / "other")
    assert (aside / "packed" / "findings.md").exists()
    page = export(tmp_path / "study", packed)
    assert "Blobs are easy." in page.read_text()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"study", "packed", "other"}
    load_study(packed)
    with pytest.raises(InputError, match="holds something else"):
        export(tmp_path / "study", tmp_path / "study")
