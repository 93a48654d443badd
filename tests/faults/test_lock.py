"""One process at a time writes a study's folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

import cl_moe
from cl_moe.errors import InputError
from cl_moe.runs.folder import lock as locking
from cl_moe.runs.folder.export import export
from cl_moe.runs.folder.lock import LOCK, OWNER, locked
from cl_moe.runs.folder.unpack import unpack

ONCE: dict[str, Any] = {
    "training": {"epochs": 1, "min_steps": 0},
    "network": {"hidden": [4]},
    "progress": False,
    "seeds": 1,
}
HOLD = """
import pathlib, sys
from cl_moe.runs.folder.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_start_is_told_who_runs_there(stream: cl_moe.TaskStream, tmp_path: Path) -> None:
    """Its draft stays, and nothing is written."""
    out = tmp_path / "study"
    with held(out) as process:
        draft = out / ".writing-0123abcd-1-abcdefgh"
        draft.mkdir()
        before = sorted(out.iterdir())
        for fresh in (False, True):
            with pytest.raises(InputError) as error:
                cl_moe.run(stream, ["dense"], out=out, fresh=fresh, **ONCE)
            assert str(error.value).startswith(
                f"{out}: another study is being run here (process {process.pid} on "
                f"{socket.gethostname()} since 20"
            )
            assert str(error.value).endswith("wait for it, or give another folder")
        with pytest.raises(InputError, match="is being run here"):
            cl_moe.transfer(stream, "dense", out=out, **ONCE)
        assert sorted(out.iterdir()) == before


def test_a_lock_ends_with_its_process(stream: cl_moe.TaskStream, tmp_path: Path) -> None:
    """However it ends; the next start takes over, and leaves no file of the lock."""
    out = tmp_path / "study"
    with held(out) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert (out / OWNER).exists()
        cl_moe.run(stream, ["dense"], out=out, **ONCE)
    assert {path.name for path in out.iterdir()} == {"study.json", "digests.json", "runs"}


def test_what_was_made_for_the_lock_goes_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with locked(folder):
        assert {path.name for path in folder.iterdir()} == {LOCK, OWNER}
        about = json.loads((folder / OWNER).read_text())
        assert (about["pid"], about["host"]) == (os.getpid(), socket.gethostname())
    assert list(tmp_path.iterdir()) == []
    with locked(folder):
        (folder / "mine").touch()
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_lock_on_a_file_that_was_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process before removes the file between its opening and its locking here."""
    right, tries = locking._try, []

    def removed_once(folder: Path) -> Any:
        tries.append(folder)
        if len(tries) == 1:
            (folder / LOCK).unlink()
        return right(folder)

    monkeypatch.setattr(locking, "_try", removed_once)
    with locked(tmp_path):
        assert len(tries) == 2
        with pytest.raises(InputError, match="is being run here"), locked(tmp_path):
            pass


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", unable)
    told = pytest.raises(InputError, match=f"process {os.getpid()} on")
    with locked(tmp_path), told, locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    about = {"pid": 999999999, "host": socket.gethostname(), "since": "yesterday"}
    (tmp_path / f"{LOCK}.soft").touch()
    (tmp_path / OWNER).write_text(json.dumps(about | {"host": "another"}))
    with pytest.raises(InputError, match="process 999999999 on another since"), locked(tmp_path):
        pass
    (tmp_path / OWNER).write_text(json.dumps(about))
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1, "host": 2}'])
def test_an_owner_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    with locked(tmp_path):
        (tmp_path / OWNER).write_text(text)
        with pytest.raises(InputError, match="run here; wait for it"), locked(tmp_path):
            pass


def test_no_export_goes_where_a_study_is_run(stream: cl_moe.TaskStream, tmp_path: Path) -> None:
    cl_moe.run(stream, ["dense"], out=tmp_path / "study", **ONCE)
    packed = export(tmp_path / "study", tmp_path / "packed").parent
    with held(tmp_path / "busy"):
        for write in (unpack, export):
            with pytest.raises(InputError, match="is being run here"):
                write(packed, tmp_path / "busy")
        assert {path.name for path in (tmp_path / "busy").iterdir()} == {LOCK, OWNER}
        cl_moe.load_study(tmp_path / "study")
    with held(packed), pytest.raises(InputError, match="is being run here"):
        export(tmp_path / "study", packed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["busy", "packed", "study"]


def test_nothing_is_run_in_an_export(stream: cl_moe.TaskStream, tmp_path: Path) -> None:
    cl_moe.run(stream, ["dense"], out=tmp_path / "study", **ONCE)
    packed = export(tmp_path / "study", tmp_path / "packed").parent
    with pytest.raises(InputError, match="an exported study, in which nothing is run; cl-moe unp"):
        cl_moe.run(stream, ["dense"], out=packed, **ONCE)
    cl_moe.load_study(packed)


def test_runs_of_two_studies_are_never_one_table(stream: cl_moe.TaskStream, tmp_path: Path) -> None:
    """As two starts without a lock left them: one with another budget, one of another method."""
    one, two = tmp_path / "one", tmp_path / "two"
    cl_moe.run(stream, ["dense"], out=one, **ONCE)
    longer = {**ONCE, "training": {"epochs": 2, "min_steps": 0}, "seeds": [1]}
    cl_moe.run(stream, ["dense"], out=two, **longer)
    (two / "runs" / "dense" / "seed_1").rename(one / "runs" / "dense" / "seed_1")
    wanted = "training.epochs is 2 in the run and 1 in study.json"
    with pytest.raises(InputError, match=wanted) as error:
        cl_moe.load_study(one)
    assert f"rm -r {one}/runs/dense/seed_1" in str(error.value)
    with pytest.raises(InputError, match=wanted):
        cl_moe.run(stream, ["dense"], out=one, **{**ONCE, "seeds": 2})


def test_a_run_with_other_parameters_is_of_another_study(
    stream: cl_moe.TaskStream, tmp_path: Path
) -> None:
    out, other = tmp_path / "study", tmp_path / "other"
    cl_moe.run(stream, [{"name": "ewc", "strength": 2.0}], out=out, **ONCE)
    cl_moe.run(stream, [{"name": "ewc", "strength": 3.0}], out=other, **{**ONCE, "seeds": [1]})
    (other / "runs" / "ewc" / "seed_1").rename(out / "runs" / "ewc" / "seed_1")
    wanted = r"method.parameters.strength is 3.0 in the run and 2.0 in study.json"
    with pytest.raises(InputError, match=wanted):
        cl_moe.load_study(out)
