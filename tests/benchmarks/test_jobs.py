from __future__ import annotations

import contextlib

from benchmarks.jobs import command, small_study, warm_pool, work


def test_a_warm_pool_has_all_its_processes_and_runs_the_study() -> None:
    plan = small_study(epochs=1, seeds=1, methods=["dense", "ridge"])
    with contextlib.closing(warm_pool(plan, 2)) as pool:
        assert len(pool._workers) == 2
        assert work(pool, plan.jobs()) > 0


def test_the_command_runs() -> None:
    assert command(jobs=1, epochs=1, seeds=1, methods=["nearest_mean"]) > 0
