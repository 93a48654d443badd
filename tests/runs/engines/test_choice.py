from __future__ import annotations

import sys

import pytest

from cl_moe.errors import InputError
from cl_moe.runs.engines.choice import open_engine, read_engine
from cl_moe.runs.engines.spec import RaySpec, in_bytes
from cl_moe.runs.plan import Streams
from cl_moe.runs.planning import make_plan
from cl_moe.streams.stream import TaskStream


def test_all_that_is_wrong_with_what_a_run_takes_is_named() -> None:
    with pytest.raises(InputError) as found:
        RaySpec(cpus=1.5, gpus=-1, memory="much")
    assert [problem.split(":")[0] for problem in found.value.problems] == [
        "cpus",
        "gpus",
        "memory",
    ]


@pytest.mark.parametrize(("text", "size"), [("1GiB", 2**30), ("1.5 kb", 1500), ("7", 7)])
def test_memory_is_said_in_units(text: str, size: int) -> None:
    assert in_bytes(text) == size


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True])
def test_jobs_are_whole(jobs: int) -> None:
    with pytest.raises(InputError, match=r"jobs: .* is not a whole number from 1"):
        read_engine("local", jobs)


def test_an_unknown_engine() -> None:
    with pytest.raises(InputError, match="no engine 'rai'; did you mean 'ray'"):
        read_engine("rai", None)


def test_without_ray_it_is_said_how_to_get_it(
    stream: TaskStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(stream, ["dense"], seeds=1)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'cl-moe\[ray\]'"):
        open_engine(plan, Streams(plan), None, RaySpec(), lambda _: None)
