"""Runs on this machine: in this process, or in worker processes."""

from __future__ import annotations

import contextlib
import importlib
import json
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from cl_moe.runs.engines.base import TRIES, Engine, Outcome, packed
from cl_moe.runs.engines.forking import Forked, ForkServer, available, environment
from cl_moe.runs.estimates.cost_model import longest_first
from cl_moe.runs.plan import Failure, Job, Progress, ProgressCallback, RunResult, Streams, StudyPlan
from cl_moe.runs.worker import attempt

__all__ = ("InProcessEngine", "ProcessEngine")


class InProcessEngine(Engine):
    """Executes jobs in this process."""

    def __init__(self, plan: StudyPlan, streams: Streams, tell: ProgressCallback) -> None:
        self._plan, self._streams, self._tell = plan, streams, tell

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield each job with its outcome when it ends."""
        for job in jobs:
            yield job, attempt(self._plan, self._streams, job, self._tell)

    def close(self) -> None:
        """Do nothing: there is no process to end."""


class _Worker:
    """A child process, its current job, and a thread that forwards its replies."""

    def __init__(
        self, plan: bytes, threads: int, replies: queue.Queue[_Reply], forks: ForkServer | None
    ) -> None:
        self.job: Job | None = None
        self.tries = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process: subprocess.Popen[bytes] | Forked
        if forks is not None:
            self._process = forks.fork(self._log)
        else:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cl_moe.runs.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment(threads),
                start_new_session=True,  # Ctrl-C only reaches the driver, which stops its workers
            )
        self._send(plan)
        self._thread = threading.Thread(target=self._listen, args=(replies,), daemon=True)
        self._thread.start()

    def start(self, job: Job, tries: int) -> None:
        self.job, self.tries = job, tries
        self._send(pickle.dumps(job))

    def close(self) -> None:
        """Stop the processes."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]

    def exit_report(self) -> str:
        """Return how the process ended and the end of what it printed."""
        code = self._process.wait()
        self._log.seek(0)
        printed = self._log.read().decode(errors="replace").strip().splitlines()[-20:]
        return "\n".join([f"the process of this run died (exit code {code})", *printed])

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(
            BrokenPipeError
        ):  # the process died: the listening thread reports it
            self._process.stdin.write(message)
            self._process.stdin.flush()

    def _listen(self, replies: queue.Queue[_Reply]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            replies.put((self, json.loads(line)))
        replies.put((self, None))


_Reply = tuple[_Worker, dict[str, Any] | None]


class ProcessEngine(Engine):
    """Executes jobs in worker processes, one job per worker at a time."""

    def __init__(self, plan: StudyPlan, size: int, tell: ProgressCallback) -> None:
        self._plan, self._threads, self._tell = packed(plan), plan.threads, tell
        self._replies: queue.Queue[_Reply] = queue.Queue()
        self._waiting: list[tuple[Job, int]] = []
        self._workers: list[_Worker] = []
        self._size = size
        self._forks = ForkServer.take() if available(plan.device, plan.threads) else None

    def expect(self, runs: int) -> None:
        """Start the processes, so that they import while the driver validates the methods."""
        while len(self._workers) < min(runs, self._size):
            self._workers.append(self._new_worker())

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield each job with its outcome when it ends."""
        self._waiting = [(job, 1) for job in longest_first(jobs)]
        self._feed()
        importlib.import_module("cl_moe.analysis.verdict")  # for the results, in spare time
        while any(worker.job is not None for worker in self._workers):
            worker, reply = self._next_reply()
            if reply is None:
                yield from self._replace_dead(worker)
            elif reply["kind"] == "progress":
                self._tell(Progress(**reply["content"]))
            elif reply["kind"] == "unloadable":  # the plan cannot be loaded by any worker
                yield from self._give_up(_failure(**reply["content"]))
            else:
                job, worker.job = worker.job, None
                assert job is not None, "a worker replies only to its job"
                result = reply["kind"] == "result"
                self._feed()
                yield job, (RunResult if result else _failure)(**reply["content"])

    def close(self) -> None:
        """Stop the processes."""
        for worker in self._workers:
            worker.close()
        self._workers = []
        if self._forks is not None:
            self._forks.close()
            self._forks = None

    def _next_reply(self) -> _Reply:
        while True:
            with contextlib.suppress(queue.Empty):
                # A timeout, since on some systems an unlimited wait cannot be interrupted.
                return self._replies.get(timeout=0.5)

    def _feed(self) -> None:
        """Assign waiting jobs to free workers, and to new ones up to the number of jobs."""
        free = [worker for worker in self._workers if worker.job is None]
        while self._waiting and (free or len(self._workers) < self._size):
            if not free:
                free.append(self._new_worker())
                self._workers += free
            free.pop(0).start(*self._waiting.pop(0))

    def _new_worker(self) -> _Worker:
        forks = self._forks if self._forks is not None and self._forks.alive else None
        return _Worker(self._plan, self._threads, self._replies, forks)

    def _replace_dead(self, worker: _Worker) -> Iterator[Outcome]:
        """Replace a dead worker; its job is tried once more."""
        if worker not in self._workers:  # stopped by this engine
            return
        self._workers.remove(worker)
        words = worker.exit_report()
        worker.close()
        if worker.job is not None and worker.tries < TRIES:
            self._waiting.insert(0, (worker.job, worker.tries + 1))
        self._feed()
        if worker.job is not None and worker.tries >= TRIES:
            yield worker.job, Failure(words, crashed=True)

    def _give_up(self, failure: Failure) -> Iterator[Outcome]:
        given = [worker.job for worker in self._workers if worker.job is not None]
        waiting = [job for job, _ in self._waiting]
        self._waiting = []
        self.close()
        for job in [*given, *waiting]:
            yield job, failure


def _failure(**content: Any) -> Failure:
    return Failure(**{**content, "problems": tuple(content["problems"])})
