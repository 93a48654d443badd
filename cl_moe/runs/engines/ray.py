"""Runs on a Ray cluster (Moritz et al. 2018).

Each run is one Ray task; the driver writes its results, so that nothing is stored on the cluster.
Ray is imported when an engine is constructed.
"""

from __future__ import annotations

import functools
import importlib
import logging
import math
import os
import socket
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError
from cl_moe.runs.engines.base import TRIES, Engine, Outcome, packed
from cl_moe.runs.engines.spec import RaySpec, in_bytes
from cl_moe.runs.estimates.cost_model import longest_first
from cl_moe.runs.plan import Failure, Job, Progress, ProgressCallback, RunResult, Streams, StudyPlan
from cl_moe.runs.worker import attempt, throttled, unpacked

__all__ = ("RayEngine",)

_SECONDS_TO_ANSWER = 5.0
_SECONDS_BETWEEN_POLLS = 0.5
_SECONDS_BETWEEN_REPORTS = 0.5


class RayEngine(Engine):
    """Submits each run as one Ray task; the plan is sent once.

    Ray is started or connected to at the first job. If the caller has called ``ray.init``, that
    session is used and left running.

    Args:
        plan: the study.
        spec: the cluster, and the resources per run.
        jobs: most runs submitted at once; None: all, those that do not fit wait on the cluster.
        tell: called with the progress of each run.

    Raises:
        InputError: Ray is not installed, or not available at the address.
    """

    def __init__(
        self, plan: StudyPlan, spec: RaySpec, jobs: int | None, tell: ProgressCallback
    ) -> None:
        self._ray = _load_ray()
        self._address = spec.address or os.environ.get("RAY_ADDRESS") or "local"
        _probe(self._address)
        self._plan, self._threads, self._tell = packed(plan), plan.threads, tell
        self._most = math.inf if jobs is None else jobs
        gpus = float(plan.device.startswith("cuda")) if spec.gpus is None else spec.gpus
        cpus = plan.threads if spec.cpus is None else spec.cpus
        self._needs = {"CPU": cpus, "GPU": gpus, "memory": in_bytes(spec.memory)}
        self._under_way: dict[Any, tuple[Job, int]] = {}
        self._ours = self._started = False

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield each job with its outcome when it ends."""
        if jobs and not self._started:
            self._start()
        waiting = deque((job, 1) for job in longest_first(jobs))
        while waiting or self._under_way:
            while waiting and len(self._under_way) < self._most:
                job, tries = waiting.popleft()
                self._under_way[self._submit(job)] = (job, tries)
            ended, _ = self._ray.wait(list(self._under_way), timeout=_SECONDS_BETWEEN_POLLS)
            self._read_reports()
            for reference in ended:
                job, tries = self._under_way.pop(reference)
                outcome = self._outcome(reference)
                if isinstance(outcome, Failure) and outcome.crashed and tries < TRIES:
                    waiting.appendleft((job, tries + 1))
                else:
                    yield job, outcome

    def close(self) -> None:
        """Shut Ray down, if it was started here."""
        if self._ours:
            self._ray.shutdown()
        elif self._started:
            for reference in self._under_way:
                self._ray.cancel(reference, force=True)
            self._ray.kill(self._actor)
        self._under_way, self._ours, self._started = {}, False, False

    def _start(self) -> None:
        ray, environment = self._ray, _environment(self._threads)
        if not ray.is_initialized():
            self._ours = True
            self._connect(environment)
        self._check_room()
        self._plan_ref = ray.put(self._plan)
        here = ray.get_runtime_context().get_node_id()
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        self._actor = (
            ray.remote(_ReportActor)
            .options(
                num_cpus=0,
                runtime_env=environment,
                scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(here, soft=True),
            )
            .remote()
        )
        self._reports = self._actor.take.remote()
        self._task = ray.remote(_run).options(
            num_cpus=self._needs["CPU"],
            num_gpus=self._needs["GPU"],
            memory=self._needs["memory"],
            max_retries=0,  # this engine retries runs itself, like the others
            runtime_env=environment,
        )
        self._started = True

    def _connect(self, environment: dict[str, Any]) -> None:
        how: dict[str, Any] = {}
        if self._address == "local":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage reports
            room = None if math.isinf(self._most) else math.ceil(self._most * self._needs["CPU"])
            how = {"num_cpus": room, "include_dashboard": False}
        try:
            self._ray.init(
                address=self._address,
                runtime_env=environment,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **how,
            )
        except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
            why = str(error).strip().split("\n")[0]
            raise InputError(
                f"address: the Ray at '{self._address}' cannot be used ({why}); give the address "
                "printed by `ray start`, or none for a local Ray"
            ) from error

    def _check_room(self) -> None:
        """Raise an InputError if a run fits on no machine, where it would wait forever."""
        there = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if not any(all(n.get(k, 0) >= v for k, v in self._needs.items()) for n in there):
            cpus, gpus, memory = self._needs.values()
            raise InputError(
                f"engine: a run takes {cpus:g} CPU, {gpus:g} GPU and {memory / 2**30:.3g} GiB, "
                f"but none of the cluster's {len(there)} machines has that; reduce the resources "
                "per run"
            )

    def _submit(self, job: Job) -> Any:
        # In a list, the reference is not resolved by Ray, but once per process.
        return self._task.remote([self._plan_ref], job, self._actor, str(Path.cwd()))

    def _outcome(self, reference: Any) -> RunResult | Failure:
        try:
            outcome: RunResult | Failure = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Failure(f"Ray lost this run: {error}", crashed=True)
        return outcome

    def _read_reports(self) -> None:
        if self._ray.wait([self._reports], timeout=0)[0]:
            for report in self._ray.get(self._reports):
                self._tell(Progress(**report))
            self._reports = self._actor.take.remote()


class _ReportActor:
    """An actor on the driver's machine that collects the progress reports of runs."""

    def __init__(self) -> None:
        self._reports: list[dict[str, Any]] = []

    def put(self, report: dict[str, Any]) -> None:
        self._reports.append(report)

    def take(self) -> list[dict[str, Any]]:
        reports, self._reports = self._reports, []
        return reports


def _run(plan_ref: list[Any], job: Job, actor: Any, folder: str) -> RunResult | Failure:
    """Run a job in a process of the cluster, in the driver's folder if it exists there."""
    if Path(folder).is_dir():
        os.chdir(folder)
    plan, streams = _opened(plan_ref[0])
    return attempt(plan, streams, job, throttled(actor.put.remote, _SECONDS_BETWEEN_REPORTS))


@functools.lru_cache(maxsize=1)
def _opened(plan_ref: Any) -> tuple[StudyPlan, Streams]:
    plan = unpacked(_load_ray().get(plan_ref))
    return plan, Streams(plan)


def _environment(threads: int) -> dict[str, Any]:
    """Return the environment of a run's process: module path and number of threads."""
    paths = [path or os.curdir for path in sys.path]
    return {
        "env_vars": {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)},
    }


def _load_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError(
            f"engine: Ray cannot be imported ({error}); pip install 'cl-moe[ray]', or use local"
        ) from error


def _probe(address: str) -> None:
    """Check that the address accepts connections: Ray would retry for minutes, then exit."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit() and int(port) < 2**16):
        raise InputError(
            f"address: '{address}' is not an address; give auto, 10.0.0.1:6379 or ray://10.0.0.1:10001"
        )
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise InputError(
            f"address: no Ray answers at '{address}' ({error}); give the address that `ray start` "
            "printed, or none for a local Ray"
        ) from error
