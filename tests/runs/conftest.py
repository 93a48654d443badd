"""A tiny stream, a scenario file like it, and methods that misbehave."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

SCENARIO = """
name = "tiny"
seeds = 2

[sources.blobs]
type = "synthetic"
dim = 6
classes = 2

[[tasks]]
name = "a"
source = "blobs"
per_class = 12
test_per_class = 10

[[tasks]]
name = "b"
source = "blobs"
per_class = 12
test_per_class = 10

[network]
hidden = [8]

[training]
epochs = 1
min_steps = 0

[[methods]]
name = "dense"

[[methods]]
name = "joint"
"""

MISBEHAVING = '''
import os
import pathlib
import time


def crash_once(context, /, *, marker: str):
    """End the process the first time, raise the second."""
    if not pathlib.Path(marker).exists():
        pathlib.Path(marker).touch()
        os._exit(3)
    raise ZeroDivisionError("second time")


def die_late(context, /, *, marker: str):
    """Be dense, and end the process the first time the second task ends."""
    from avalanche.core import SupervisedPlugin

    from cl_moe.strategies.methods.base import sequential

    class Dying(SupervisedPlugin):
        def after_training_exp(self, strategy, **_):
            task = strategy.clock.train_exp_counter
            log = pathlib.Path(marker)
            before = log.read_text() if log.exists() else ""
            log.write_text(f"{before}{task}")
            if before == "0":
                time.sleep(1)  # a checkpoint is written meanwhile
                os._exit(3)

    return sequential(context, plugins=lambda: [Dying()])


def crash(context, /):
    """End the process every time."""
    print("last words", flush=True)
    os._exit(3)


def fail(context, /):
    """Raise what no one expects."""
    raise ZeroDivisionError("a bug in a method")


def refuse(context, /):
    """Raise what a user can put right."""
    from cl_moe.errors import InputError

    raise InputError(["one", "two"])
'''


def toy_task(position: int) -> Task:
    """Return a task whose two classes are blobs of its own."""
    draw = torch.Generator().manual_seed(position)
    centres = 2.0 * torch.randn(2, 6, generator=draw)

    def data(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.arange(size) % 2
        return centres[y] + torch.randn(size, 6, generator=draw), y

    return Task(f"task{position}", data(24), data(20), ["left", "right"], group="toy")


@pytest.fixture
def stream() -> TaskStream:
    """Two tasks and a probe."""
    tasks = [toy_task(position) for position in range(3)]
    return TaskStream(tasks[:2], name="toy", probes=tasks[2:])


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A scenario file of two tasks and two methods."""
    path = tmp_path / "tiny.toml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture
def misbehaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module, on the path, with methods that crash and fail."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "misbehaving.py").write_text(MISBEHAVING)
    monkeypatch.syspath_prepend(folder)
    return "misbehaving"
