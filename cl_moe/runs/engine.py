"""Runs jobs: in this process, or in several that are started once and fed one job at a time."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from cl_moe.errors import InputError
from cl_moe.runs.plan import Failure, Job, Progress, RunResult, Streams, StudyPlan, Watcher
from cl_moe.runs.worker import attempt

__all__ = ("Outcome", "run_jobs")

Outcome = tuple[Job, RunResult | Failure]

_TRIES = 2
"""A run whose process dies (out of memory, a crash in native code) is tried once more."""


def run_jobs(
    plan: StudyPlan, streams: Streams, jobs: Sequence[Job], processes: int, tell: Watcher
) -> Generator[Outcome, None, None]:
    """Run all jobs and yield each one's outcome as it ends.

    The rows do not depend on ``processes``. Closing the iterator, or an interrupt, ends the
    processes; runs that are under way are lost, whole ones have been yielded.

    Args:
        plan: the study.
        streams: where jobs that run in this process take their tasks from.
        jobs: started in this order.
        processes: 1 runs in this process.
        tell: hears where each run is.
    """
    if processes == 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, attempt(plan, streams, job, tell)
        return
    with contextlib.closing(_Pool(plan, min(processes, len(jobs)), tell)) as pool:
        yield from pool.run(jobs)


class _Worker:
    """One child process, the job it has, and a thread that passes its replies on."""

    def __init__(self, plan: bytes, threads: int, replies: queue.Queue[_Reply]) -> None:
        self.job: Job | None = None
        self.tries = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        paths = [path or os.curdir for path in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cl_moe.runs.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "OMP_NUM_THREADS": str(threads),
            },
            start_new_session=True,  # Ctrl-C is for the driver, which ends its workers itself
        )
        self._send(plan)
        self._thread = threading.Thread(target=self._listen, args=(replies,), daemon=True)
        self._thread.start()

    def start(self, job: Job, tries: int) -> None:
        self.job, self.tries = job, tries
        self._send(pickle.dumps(job))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]

    def last_words(self) -> str:
        """Return how the process ended and the end of what it printed."""
        code = self._process.wait()
        self._log.seek(0)
        printed = self._log.read().decode(errors="replace").strip().splitlines()[-20:]
        return "\n".join([f"the process of this run ended by itself (exit code {code})", *printed])

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead: the listening thread tells
            self._process.stdin.write(message)
            self._process.stdin.flush()

    def _listen(self, replies: queue.Queue[_Reply]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            replies.put((self, json.loads(line)))
        replies.put((self, None))


_Reply = tuple[_Worker, dict[str, Any] | None]


class _Pool:
    """Some workers, the queue of their replies, and the jobs that wait."""

    def __init__(self, plan: StudyPlan, size: int, tell: Watcher) -> None:
        self._plan, self._threads, self._tell = _pickled(plan), plan.threads, tell
        self._replies: queue.Queue[_Reply] = queue.Queue()
        self._waiting: list[tuple[Job, int]] = []
        self._workers: list[_Worker] = []
        self._size = size

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        self._waiting = [(job, 1) for job in jobs]
        for _ in range(self._size):
            self._hire()
        while self._workers:
            worker, reply = self._next_reply()
            if reply is None:
                yield from self._bury(worker)
                continue
            kind = reply.pop("kind")
            if kind == "progress":
                self._tell(Progress(**reply))
                continue
            if kind == "unloadable":  # the plan; no other worker will fare better
                yield from self._give_up(_failure(reply))
                return
            job, worker.job = worker.job, None
            assert job is not None, "a worker answers the one job it has"
            yield job, RunResult(**reply) if kind == "result" else _failure(reply)
            self._feed(worker)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers = []

    def _next_reply(self) -> _Reply:
        while True:
            with contextlib.suppress(queue.Empty):
                # A timeout, because on some systems an endless wait cannot be interrupted.
                return self._replies.get(timeout=0.5)

    def _hire(self) -> None:
        if self._waiting:
            worker = _Worker(self._plan, self._threads, self._replies)
            self._workers.append(worker)
            self._feed(worker)

    def _feed(self, worker: _Worker) -> None:
        if self._waiting:
            worker.start(*self._waiting.pop(0))
        else:
            self._workers.remove(worker)
            worker.close()

    def _bury(self, worker: _Worker) -> Iterator[Outcome]:
        """Replace a dead worker; its job alone is lost, and is tried once more."""
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        words = worker.last_words()
        worker.close()
        if worker.job is not None:
            if worker.tries < _TRIES:
                self._waiting.insert(0, (worker.job, worker.tries + 1))
            else:
                yield worker.job, Failure(words, crashed=True)
        self._hire()

    def _give_up(self, failure: Failure) -> Iterator[Outcome]:
        given = [(w.job, w.tries) for w in self._workers if w.job is not None]
        for job, _ in [*given, *self._waiting]:
            yield job, failure


def _failure(reply: dict[str, Any]) -> Failure:
    return Failure(**{**reply, "problems": tuple(reply["problems"])})


def _pickled(plan: StudyPlan) -> bytes:
    try:
        return pickle.dumps(plan)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"jobs: this stream cannot be sent to other processes ({error}); use jobs=1, "
            "or data sets of classes and functions that stand in a module"
        ) from error
