"""``cl-moe check`` of a part: a line a check, and an exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PARTS = '''
import math
from dataclasses import dataclass

from cl_moe.analysis.metrics import Metric
from cl_moe.analysis.metrics.accuracy import average_accuracy
from cl_moe.moe.gates.base import Gate
from cl_moe.strategies.methods.base import sequential
from cl_moe.streams.operators.base import Operator, map_inputs
from torch import nn


class Even(Gate):
    """Prefers no expert.

    >>> Even(in_features=2).reads_rows
    False
    """

    reads_rows = False

    def add_task(self, task, experts, generator):
        pass

    def logits(self, x_BD, task, experts):
        return x_BD.new_zeros(1, len(experts))

    def depends_on(self, task, experts):
        return []


class Mutates(Even):
    """Prefers no expert, and scales the rows.

    >>> Mutates(in_features=2).k
    1
    """

    def logits(self, x_BD, task, experts):
        x_BD *= 2
        return super().logits(x_BD, task, experts)


@dataclass(frozen=True)
class Scale(Operator):
    """Inputs are multiplied.

    >>> Scale(2.0).factor
    2.0
    """

    relation = "scaled input"

    factor: float

    def __call__(self, task, seed=0):
        return map_inputs(task, self, lambda x, _: x * self.factor, "scaled")


def mine(context, /):
    """Train a dense network."""
    return sequential(context)


def expert(shape):
    """A linear map."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 3))


def data(classes: int = 2):
    return [[float(k)] for k in range(8)], [k % classes for k in range(8)], [[0.0]], [0]


average = Metric("ensemble", "share", True, "accuracies", average_accuracy)
three = 3
'''

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of parts in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CL_MOE_DATA_DIR", raising=False)
    (tmp_path / "parts.py").write_text(PARTS)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["parts.py:Even"], "gate"),
        (["parts.py:Scale", "--set", "factor=0.5"], "operator"),
        (["parts.py:mine"], "method"),
        (["parts.py:expert", "--kind", "expert"], "expert"),
        (["parts.py:data", "--kind", "source", "--set", "classes=2"], "source"),
        (["parts.py:average"], "metric"),
        (["digits", "--kind", "source"], "source"),
        (["forgetting", "--kind", "metric"], "metric"),
    ],
)
def test_a_part_that_is_whole(call: Call, words: list[str], kind: str) -> None:
    said = call("check", *words)
    assert said.code == 0, said.out + said.err
    *lines, last = said.out.splitlines()
    assert last.startswith(f"{kind} '{words[0]}': ")
    assert "failed" not in last
    assert all(line.startswith(("passed  ", "not applicable  ")) for line in lines)
    assert all(": " in line for line in lines if line.startswith("not applicable"))


def test_a_part_that_is_broken(call: Call) -> None:
    said = call("check", "parts.py:Mutates")
    assert said.code == 1
    assert said.err == ""
    failed = [line for line in said.out.splitlines() if line.startswith("failed")]
    assert failed[0].split(None, 1)[1] == (
        "inputs untouched: its input rows are changed; modify a copy"
    )
    assert f"{len(failed)} failed" in said.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["nowhere:Gate"], "PART: 'nowhere:Gate' cannot be loaded (ModuleNotFoundError: "),
        (["parts.py:Evn"], "PART: 'parts.py:Evn' cannot be loaded (AttributeError: "),
        (["parts.py:three"], "'parts.py:three' is not a part of a known kind; give a "),
        (
            ["parts.py:Even", "--kind", "growth"],
            "'parts.py:Even' is not a growth; give a subclass ",
        ),
        (["task", "--kind", "gatte"], "--kind: unknown kind 'gatte'; did you mean 'gate'?"),
        (["tusk", "--kind", "gate"], "PART: no gate is called 'tusk'; did you mean 'task'?"),
        (["parts.py:Scale"], "--set factor: missing; give a finite number"),
        (
            ["parts.py:Scale", "--set", "factr=1", "--set", "factor=x"],
            "--set factr: no such",
        ),
        (["parts.py:average", "--set", "x=1"], "--set x: 'parts.py:average' is a value and has no"),
        (["parts.py:Even", "--set", "k"], "--set k: give key=value"),
    ],
)
def test_what_cannot_be_checked(call: Call, words: list[str], error: str) -> None:
    said = call("check", *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {error}")
    assert all(line.startswith("error: ") for line in said.err.splitlines())


def test_a_scenario_is_checked_with_its_settings(call: Call, scenario: Path) -> None:
    assert call("check", scenario, "--set", "seeds=3").out.endswith(
        "2 methods x 3 seeds = 6 runs\n"
    )
    said = call("check", scenario, "--set", "training.epochs=0")
    assert said.code == 2
    assert said.err.startswith("error: training.epochs: 0 is too small")
