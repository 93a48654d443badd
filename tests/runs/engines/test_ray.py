"""Against a real Ray: two simulated machines in one, as ``ray.cluster_utils`` makes them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cl_moe
from cl_moe.errors import InputError
from cl_moe.runs.engines.choice import open_engine
from cl_moe.runs.engines.spec import RaySpec
from cl_moe.runs.plan import Failure, Streams
from cl_moe.runs.planning import make_plan
from cl_moe.runs.progress import SilentDisplay
from cl_moe.streams.stream import TaskStream

pytest.importorskip("ray", reason="Ray is not installed: pip install 'cl-moe[ray]'")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray leaves files open

NODE = {"num_cpus": 1, "memory": 4 * 2**30, "object_store_memory": 80 * 2**20}
BUDGET = {"epochs": 1, "min_steps": 4}

LINGERING = '''
import os
import pathlib
import time

from cl_moe.strategies.methods.dense import dense


def linger(context, /, *, marker: str):
    """Be dense, but let one run wait for the end on the machine that is doomed."""
    path = pathlib.Path(marker)
    if os.environ.get("DOOMED") and not path.exists():
        path.touch()
        time.sleep(120)
    for _ in range(600 if os.environ.get("STEADY") else 0):  # the other one must get a run
        if not path.exists():
            time.sleep(0.1)
    return dense(context)
'''


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines of one core each, and a session on them that is the caller's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else it starves beside other tests
        import ray
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        made.add_node(**NODE)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()


def rows(study: cl_moe.Study) -> pd.DataFrame:
    return study.rows.reset_index(drop=True)


def test_the_rows_are_those_of_this_machine_and_a_stopped_study_goes_on_without_the_cluster(
    cluster: Any, stream: TaskStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    how: dict[str, Any] = {"training": BUDGET, "seeds": 2, "progress": False}
    methods = ["dense", "moe"]
    ended, told = [], []

    def stop_after_two(self: SilentDisplay, job: Any, text: str) -> None:
        ended.append(job.label)
        if len(ended) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SilentDisplay, "ended", stop_after_two)
        patch.setattr(SilentDisplay, "tell", lambda self, progress: told.append(progress.run))
        with pytest.raises(cl_moe.StudyInterrupted, match="2 of 4 runs whole"):
            cl_moe.run(stream, methods, engine="ray", out=tmp_path / "study", **how)
    assert ray.is_initialized(), "the caller's session is the caller's to end"
    assert set(told) & set(ended), "runs tell where they are"
    gone_on = cl_moe.run(stream, methods, out=tmp_path / "study", **how)
    here = cl_moe.run(stream, methods, **how)
    pd.testing.assert_frame_equal(rows(gone_on), rows(here), check_exact=True)


def test_a_process_that_dies_costs_its_own_run_alone(
    cluster: Any, stream: TaskStream, misbehaving: str, tmp_path: Path
) -> None:
    once = {"type": f"{misbehaving}:crash_once", "marker": str(tmp_path / "crashed")}
    names = ("crash", "refuse", "fail")
    plan = make_plan(stream, [once, *(f"{misbehaving}:{name}" for name in names)], seeds=1)
    found = {}
    engine = open_engine(plan, Streams(plan), None, RaySpec(), lambda _: None)
    with contextlib.closing(engine):
        for job, outcome in engine.run(plan.jobs()):
            assert isinstance(outcome, Failure)
            found[job.method.name] = outcome
    assert [name for name, failure in found.items() if failure.crashed] == ["crash"]
    assert "ZeroDivisionError: second time" in found["crash_once"].traceback
    assert "ZeroDivisionError: a bug in a method" in found["fail"].traceback
    assert found["refuse"].problems == ("one", "two")


def test_a_run_whose_process_died_continues_from_its_checkpoint(
    cluster: Any, stream: TaskStream, misbehaving: str, tmp_path: Path
) -> None:
    log = tmp_path / "tasks"
    dying = {"type": f"{misbehaving}:die_late", "name": "dense", "marker": str(log)}
    how: dict[str, Any] = {"seeds": 1, "progress": False, "training": BUDGET}
    study = cl_moe.run(stream, [dying], engine="ray", out=tmp_path / "study", **how)
    assert log.read_text() == "0112", "tasks 0, 1 until the end of the process, 1 again, the probe"
    assert not (tmp_path / "study" / "checkpoints").exists()
    whole = cl_moe.run(stream, ["dense"], **how)
    pd.testing.assert_frame_equal(rows(study), rows(whole))


def test_a_run_that_fits_on_no_machine_is_refused(cluster: Any, stream: TaskStream) -> None:
    for spec, word in ((RaySpec(cpus=64), "64 CPU"), (RaySpec(memory="1024GiB"), "1.02e")):
        with pytest.raises(InputError, match=word):
            cl_moe.run(stream, ["dense"], seeds=1, engine=spec, progress=False)
    with pytest.raises(InputError, match="1 GPU"):
        cl_moe.run(stream, ["dense"], seeds=1, engine="ray", device="cuda", progress=False)
    with pytest.raises(InputError, match="GPUs of its own; give cpu or cuda"):
        cl_moe.run(stream, ["dense"], seeds=1, engine="ray", device="cuda:1", progress=False)


@pytest.mark.slow
def test_a_machine_that_dies_half_way_costs_no_row(
    cluster: Any, stream: TaskStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lingering.py").write_text(LINGERING)
    monkeypatch.syspath_prepend(tmp_path)
    marker = tmp_path / "marker"
    two_cores = {**NODE, "num_cpus": 2}
    steady, doomed = (
        cluster.add_node(**two_cores, env_vars={fate: "1"}) for fate in ("STEADY", "DOOMED")
    )

    def kill_when_in_use() -> None:
        while not marker.exists():
            time.sleep(0.05)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill_when_in_use, daemon=True)
    killer.start()
    methods = ["moe", {"type": "lingering:linger", "marker": str(marker)}]
    how: dict[str, Any] = {"training": BUDGET, "seeds": 4, "progress": False}
    study = cl_moe.run(stream, methods, engine=RaySpec(cpus=2), **how)
    cluster.remove_node(steady)
    killer.join(timeout=5)
    assert not killer.is_alive(), "the machine was to be in use, and then to die"
    here = cl_moe.run(stream, methods, **how)
    pd.testing.assert_frame_equal(rows(study), rows(here), check_exact=True)


@pytest.mark.parametrize("address", ["nowhere", "10.0.0.1:port", "10.0.0.1:99999"])
def test_what_is_no_address(stream: TaskStream, address: str) -> None:
    plan = make_plan(stream, ["dense"], seeds=1)
    with pytest.raises(InputError, match=f"address: '{address}' is not an address; give auto"):
        open_engine(plan, Streams(plan), None, RaySpec(address), lambda _: None)


def test_an_address_that_does_not_answer(stream: TaskStream) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        plan = make_plan(stream, ["dense"], seeds=1)
        with pytest.raises(InputError, match=f"no Ray answers at '{address}'"):
            open_engine(plan, Streams(plan), None, RaySpec(address), lambda _: None)
