"""Workers that are forks of one process behave as processes of their own do."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cl_moe.runs.engines.forking import ForkServer, available
from cl_moe.runs.engines.local import ProcessEngine
from cl_moe.runs.plan import RunResult
from cl_moe.runs.planning import make_plan
from cl_moe.streams.stream import TaskStream

pytestmark = pytest.mark.skipif(not available("cpu", 1), reason="workers are not forked here")


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with contextlib.closing(ForkServer()) as found:
        yield found


def test_how_a_worker_ends_is_told_as_of_a_process(server: ForkServer) -> None:
    with tempfile.TemporaryFile() as log:
        first, second = server.fork(log), server.fork(log)
        first.stdin.close()  # no plan arrives: the driver is gone
        assert first.wait() == 1
        assert first.stdout.read() == b""
        second.kill()
        assert second.wait() == -signal.SIGKILL
        for worker in (first, second):
            worker.kill()  # without effect
            worker.stdout.close()
        second.stdin.close()


def test_the_process_that_is_forked_has_one_thread_and_a_session_of_its_own(
    server: ForkServer,
) -> None:
    with tempfile.TemporaryFile() as log:
        worker = server.fork(log)
        worker.stdin.close()
        worker.wait()
        worker.stdout.close()
    pid = server._process.pid
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    assert os.getsid(pid) == pid


def test_workers_are_stopped_before_the_imports_are_over() -> None:
    fresh = ForkServer()
    with tempfile.TemporaryFile() as log:
        worker = fresh.fork(log)
        worker.kill()
        assert worker.wait() == -signal.SIGKILL
        assert worker.stdout.read() == b""
        worker.stdout.close()
        worker.stdin.close()
    fresh.close()
    assert not fresh.alive


def test_without_the_process_workers_are_started_one_by_one(stream: TaskStream) -> None:
    plan = make_plan(stream, ["dense"], seeds=2, training={"epochs": 1, "min_steps": 1})
    with contextlib.closing(ProcessEngine(plan, 2, lambda _: None)) as engine:
        engine.expect(2)
        forks = engine._forks
        assert forks is not None
        forks._process.kill()
        forks._process.wait()
        found = [outcome for _, outcome in engine.run(plan.jobs())]
    assert len(found) == 2
    assert all(isinstance(outcome, RunResult) for outcome in found)


_DRIVER = """
import sys, tempfile
from cl_moe.runs.engines.forking import ForkServer
server = ForkServer()
worker = server.fork(tempfile.TemporaryFile())
worker.stdin.write(sys.stdin.buffer.read())
worker.stdin.flush()
print(server._process.pid, flush=True)
worker.stdout.readline()
"""


class _Forever:
    """A plan that sleeps when it is unpickled, as a busy worker would, after it made a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> object:
        return eval, (f"open({self.marker!r}, 'x') and __import__('time').sleep(60)",)


def test_workers_end_with_their_driver(tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert driver.stdin is not None
    assert driver.stdout is not None
    driver.stdin.write(pickle.dumps(_Forever(tmp_path / "busy")))
    driver.stdin.close()
    pid = int(driver.stdout.readline())
    end = time.monotonic() + 60
    while not (tmp_path / "busy").exists() and time.monotonic() < end:
        time.sleep(0.05)
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    driver.kill()
    driver.wait()
    driver.stdout.close()
    end = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
