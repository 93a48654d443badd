"""The benchmark of long streams, at tiny size: what it measures, not how fast that is."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.long_stream import (
    Cost,
    figures_of_memory,
    figures_of_time,
    measured,
    plot,
    resident,
    scenario,
    write_costs,
)


@pytest.fixture(scope="module")
def costs() -> list[Cost]:
    """Forty tasks, each of which takes and adds as much as the one before it."""
    return [Cost("moe", task, 0.2, 0.1, 0.05, 100 + task / 4, task / 8, task) for task in range(40)]


def test_the_stream_is_as_long_as_asked_and_has_tasks_that_come_back() -> None:
    tasks = scenario(30).task_specs()
    assert len(tasks) == 30
    assert any(task.from_ for task in tasks)


def test_windows_are_compared(costs: list[Cost]) -> None:
    time, cpu, last, deciding = figures_of_time(costs)
    assert (time.median, cpu.median) == (1.0, 1.0)
    assert time.at_most == 1.2
    assert (last.median, deciding.median) == (200.0, 50.0)


def test_slower_tasks_at_the_end_are_seen(costs: list[Cost]) -> None:
    slower = [c if c.task < 30 else Cost("moe", c.task, 0.5, 0.1, 0.05, 1, 1, 1) for c in costs]
    assert figures_of_time(slower)[0].median == 2.5
    assert figures_of_time(slower)[0].verdict.startswith("missed")


def test_memory_is_told_a_task(costs: list[Cost]) -> None:
    process, parameters = figures_of_memory(costs)
    assert process.median == pytest.approx(256)
    assert parameters.median == pytest.approx(128)


def test_pages_are_written(costs: list[Cost], tmp_path: Path) -> None:
    write_costs(costs, tmp_path / "costs.csv")
    plot(costs, tmp_path / "plot.png")
    assert len((tmp_path / "costs.csv").read_text().splitlines()) == 41
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_each_task_has_its_cost() -> None:
    found = measured("moe", tasks=4)
    assert [cost.task for cost in found] == [0, 1, 2]
    assert all(cost.seconds > 0 and cost.parameters_mib > 0 for cost in found)
    assert found[0].experts == 1
    assert math.isnan(resident()) or resident() > 1
