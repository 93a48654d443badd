"""Construction of the methods of runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cl_moe.errors import InputError, enough_memory
from cl_moe.references import NotImportedError
from cl_moe.runs.failures import failure_of
from cl_moe.runs.plan import Job, Streams, StudyPlan
from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.seeding import derive

if TYPE_CHECKING:
    from cl_moe.strategies.methods.base import Method, MethodContext
    from cl_moe.streams.stream import TaskStream

__all__ = ("build", "build_problems", "context_of")


def build_problems(
    plan: StudyPlan, jobs: Iterable[Job], streams: Streams, *, bugs: bool = False
) -> list[str]:
    """Return why methods cannot be built, each reason once, before anything is run.

    Nothing of Avalanche is imported, unless a method is one of its strategies.

    Args:
        plan: the study.
        jobs: a job of each method.
        streams: what they learn.
        bugs: whether to report errors other than InputErrors; else their runs report them, and the
            others continue.
    """
    problems: list[str] = []
    with isolated(plan.threads):
        for job in jobs:
            stream = streams(job)
            try:
                build(plan, job, stream)
            except InputError as error:
                problems += error.problems
            except NotImportedError:  # cl-moe check builds installed parts alone
                pass
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a bug in a method
                reason = failure_of(error).reason
                problems += [f"method '{job.method.name}': cannot be built ({reason})"] * bugs
    return list(dict.fromkeys(problems))


def build(plan: StudyPlan, job: Job, stream: TaskStream) -> Method:
    """Return the method of a run, seeded.

    Raises:
        InputError: it cannot be built with its parameters.
    """
    from cl_moe.strategies.methods.base import build_method

    context = context_of(plan, job, stream)
    seed_all(derive(job.seed, "method"))
    with enough_memory(f"method '{job.method.name}'", "give smaller parameters or networks"):
        return build_method(job.method.type, job.method.parameters, context, job.method.name)


def context_of(plan: StudyPlan, job: Job, stream: TaskStream) -> MethodContext:
    """Return the settings of a run's method."""
    from cl_moe.strategies.methods.base import MethodContext

    return MethodContext(
        stream=stream,
        network=plan.network,
        training=plan.training,
        seed=job.seed,
        device=plan.device,
    )
