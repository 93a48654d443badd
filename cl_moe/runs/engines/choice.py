"""Which engine a study is run by, and with what."""

from __future__ import annotations

from cl_moe.errors import InputError, did_you_mean
from cl_moe.runs.engines.base import Engine
from cl_moe.runs.engines.spec import EngineLike, RaySpec
from cl_moe.runs.plan import ProgressCallback, Streams, StudyPlan

__all__ = ("ENGINES", "open_engine", "read_engine")

ENGINES = ("local", "ray")


def read_engine(engine: EngineLike, jobs: int | None) -> RaySpec | None:
    """Return the cluster that runs are sent to, None for this machine's processes.

    Raises:
        InputError: there is no such engine, or it cannot have so many jobs.

    >>> read_engine("local", 2), read_engine("ray", None)
    (None, RaySpec(address=None, cpus=None, gpus=None, memory='1GiB'))
    """
    problems = []
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        problems.append(f"jobs: {jobs!r} is not a whole number from 1")
    if not isinstance(engine, RaySpec) and engine not in ENGINES:
        problems.append(f"engine: no engine '{engine}'; {did_you_mean(str(engine), ENGINES)}")
    if problems:
        raise InputError(problems)
    if isinstance(engine, RaySpec):
        return engine
    return RaySpec() if engine == "ray" else None


def open_engine(
    plan: StudyPlan,
    streams: Streams,
    jobs: int | None,
    cluster: RaySpec | None,
    tell: ProgressCallback,
) -> Engine:
    """Return what runs a study's jobs.

    Args:
        plan: the study.
        streams: where jobs that run in this process take their tasks from.
        jobs: how many run at once. None: one here; on a cluster as many as it has room for.
        cluster: where; None: on this machine, and for one job in this process.
        tell: hears where each run is.

    Raises:
        InputError: the plan cannot be sent, or there is no such cluster.
    """
    if cluster is not None:
        from cl_moe.runs.engines.ray import RayEngine

        return RayEngine(plan, cluster, jobs, tell)
    from cl_moe.runs.engines.local import InProcessEngine, ProcessEngine

    return (
        InProcessEngine(plan, streams, tell)
        if jobs in (None, 1)
        else ProcessEngine(plan, jobs or 1, tell)
    )
