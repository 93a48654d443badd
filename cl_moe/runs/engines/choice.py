"""Selection of the engine of a study."""

from __future__ import annotations

from cl_moe.errors import InputError, did_you_mean
from cl_moe.runs.engines.base import Engine
from cl_moe.runs.engines.spec import EngineLike, RaySpec
from cl_moe.runs.plan import ProgressCallback, Streams, StudyPlan

__all__ = ("ENGINES", "open_engine", "read_engine")

ENGINES = ("local", "ray")


def read_engine(engine: EngineLike, jobs: int | None) -> RaySpec | None:
    """Return the specification of the Ray cluster, None for the local engine.

    Raises:
        InputError: the engine is unknown, or the number of jobs is invalid.

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
    """Return the engine for a study's jobs.

    Args:
        plan: the study.
        streams: the tasks of jobs that run in this process.
        jobs: number of parallel runs. None: one locally; on a cluster as many as fit.
        cluster: the Ray cluster; None: this machine, and this process for one job.
        tell: called with the progress of each run.

    Raises:
        InputError: the plan cannot be pickled, or the cluster is not available.
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
