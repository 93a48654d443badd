"""Execution of a study: tuning, running, writing, resuming."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cl_moe.errors import InputError
from cl_moe.runs.build import build_problems
from cl_moe.runs.engines.base import Engine
from cl_moe.runs.failures import Failed, StudyError, StudyInterrupted, keep_failure
from cl_moe.runs.folder.description import describe, differences, identity
from cl_moe.runs.folder.kept import without_model
from cl_moe.runs.folder.loading import read_runs
from cl_moe.runs.folder.records import run_spec
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.formatting import counted, duration
from cl_moe.runs.plan import Job, RunResult, Streams, StudyPlan
from cl_moe.runs.progress import Display
from cl_moe.runs.single import final_average
from cl_moe.runs.tuning import Tuning

__all__ = ("Driver",)


class Driver:
    """Executes a plan: tunes, runs, writes and reports.

    Args:
        plan: the study.
        folder: the study's folder.
        streams: builds the streams of jobs.
        engine: runs the jobs; the caller closes it.
        display: shows progress.
        kept: whether the folder is kept after the study.
    """

    def __init__(
        self,
        plan: StudyPlan,
        folder: StudyFolder,
        streams: Streams,
        engine: Engine,
        display: Display,
        *,
        kept: bool,
    ) -> None:
        self._plan, self._folder, self._display = plan, folder, display
        self._kept = kept
        self._streams, self._engine = streams, engine
        self._description: dict[str, Any] = {}
        self._tasks = 0
        self._failed: list[Failed] = []

    def prepare(self, fresh: bool) -> None:
        """Check data, methods and folder before anything is written."""
        before = None if fresh else self._folder.description()
        if before is not None:
            self._check_runs(before)
        has = self._folder.has
        self._engine.expect(sum(1 for job in self._plan.jobs() if fresh or not has(job)))
        for note in self._plan.notes:
            self._display.note(note)
        stream = self._streams(Job(self._plan.methods[0], self._plan.seeds[0]))
        self._tasks = len(stream)
        here = describe(self._plan, stream.table())
        problems = build_problems(self._plan, self._plan.first_jobs(), self._streams)
        if problems:
            raise InputError(problems)
        if fresh:
            self._folder.clear()
        if before is not None:
            here = self._continued(before, here)
        self._description = here
        self._folder.describe(here)

    def _check_runs(self, before: Mapping[str, Any]) -> None:
        """Read the whole runs as they will be read at the end.

        A run that is damaged, or of another study, is refused and not run again: it may have been
        edited on purpose, or be the first sign of a failing disk, and only its owner can tell. The
        error says which folder to remove.
        """
        _, note = read_runs(self._folder, before)
        if note is not None:
            self._display.note(note)

    def _continued(self, before: Mapping[str, Any], here: dict[str, Any]) -> dict[str, Any]:
        """Return the description of a continued study, after a check against the kept one."""
        old = {method["name"]: method for method in before["methods"]}
        new = {method["name"]: method for method in here["methods"]}
        if not self._folder.in_use():
            return here
        found = list(differences(before["spec"], here["spec"], ""))
        found += differences(before["tasks"], here["tasks"], "tasks")
        for name in old.keys() & new.keys():
            new[name]["chosen"] = old[name].get("chosen")
            found += differences(old[name], new[name], f"methods.{name}")
        if found:
            more = [f"and {len(found) - 5} more"] if len(found) > 5 else []
            raise InputError(
                f"{self._folder.path}: holds results of another study: "
                f"{'; '.join(found[:5] + more)}. Give another folder, or start over with --fresh"
            )
        seeds = sorted({*before.get("seeds", ()), *here["seeds"]})
        baseline = here["baseline"] or before["baseline"]
        methods = list({**old, **new}.values())
        return {**here, "methods": methods, "seeds": seeds, "baseline": baseline}

    def run(self) -> None:
        """Tune methods with a grid, then run the jobs that are not complete.

        Raises:
            StudyError: some runs failed; a method is not run where one of its settings has failed.
            InputError: no run is whole, each for a reason that a user can put right.
            StudyInterrupted: Ctrl-C.
        """
        chosen = {
            method["name"]: method["chosen"]
            for method in self._description["methods"]
            if method.get("chosen") is not None
        }
        tuning = Tuning(self._plan, self._folder, chosen)
        tries = tuning.open_jobs()
        runs = [job for job in self._plan.jobs() if not self._folder.has(job)]
        done = len(self._plan.jobs()) - len(runs)
        if done:
            self._display.note(f"{counted(done, 'whole run')} found: not run again")
        if bare := without_model(self._plan, self._folder):
            self._display.note(bare)
        self._begin_checkpoints([*tries, *runs])
        self._display.begin(self._plan.name, len(tries) + len(runs))
        try:
            self._tune(tries, tuning)
            lost = {failed.job.method.name for failed in self._failed}
            chosen = tuning.choose(without=lost)
            self._run(self._chosen([r for r in runs if r.method.name not in lost], chosen))
        except KeyboardInterrupt as interrupt:
            whole = sum(map(self._folder.has, self._plan.jobs()))  # as it is there by now
            folder = self._folder.path if self._kept else None
            raise StudyInterrupted(whole, len(self._plan.jobs()), folder) from interrupt
        finally:
            if self._plan.checkpoints is not None:
                self._folder.end_checkpoints(self._plan.checkpoints.token)
        if self._failed:
            problems = [p for failed in self._failed for p in _problems(failed)]
            only_problems = all(failed.failure.problems for failed in self._failed)
            if only_problems and not any(map(self._folder.has, self._plan.jobs())):
                raise InputError(dict.fromkeys(problems))
            raise StudyError(self._failed)

    def _begin_checkpoints(self, jobs: Sequence[Job]) -> None:
        """Let runs write checkpoints, and say how many continue from one."""
        if self._plan.checkpoints is None:
            return
        settings = [job for m in self._plan.methods for job in self._plan.tuning_jobs(m)]
        for job in [*self._plan.jobs(), *settings]:
            if job not in jobs:  # written, but its checkpoints were not removed yet
                self._folder.forget_checkpoints(job)
        study = identity(self._description, self._plan)
        begun = self._folder.begin_checkpoints(self._plan.checkpoints.token, study, jobs)
        if begun:
            self._display.note(f"{counted(begun, 'unfinished run')} with checkpoints: continued")

    def _tune(self, jobs: Sequence[Job], tuning: Tuning) -> None:
        for job, result in self._results(jobs):
            value = tuning.record(job, result, self._tasks)
            self._folder.forget_checkpoints(job)
            self._display.ended(job, _shown(f"held-out {_score(result)}", value))

    def _run(self, jobs: Sequence[Job]) -> None:
        for job, result in self._results(jobs):
            self._folder.write(job, self._spec(job), result)
            self._folder.forget_checkpoints(job)
            # In a run of pairs, two tasks were learned when a pair is through.
            tasks = self._tasks if job.after is None else 2
            self._display.ended(job, _in_short(result, tasks))

    def _results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, RunResult]]:
        """Yield results as they arrive; failures are recorded, and the other jobs continue."""
        for job, outcome in self._engine.run(jobs):
            if isinstance(outcome, RunResult):
                self._folder.forget_failure(job)
                yield job, outcome
            else:
                folder = self._folder if self._kept else None
                self._failed.append(keep_failure(folder, job, outcome))
                if not (outcome.problems or outcome.crashed):  # a bug: it may have changed
                    self._folder.forget_checkpoints(job)
                self._display.ended(job, f"failed: {outcome.reason}")

    def _chosen(self, runs: Sequence[Job], chosen: Mapping[str, dict[str, Any]]) -> list[Job]:
        """Apply and record the chosen settings of tuned methods."""
        for method in self._description["methods"]:
            if method["name"] in chosen and method["chosen"] is None:
                setting = method["chosen"] = chosen[method["name"]]
                text = ", ".join(f"{key} = {value}" for key, value in setting.items())
                self._display.note(f"{method['name']}: chosen {text}")
        self._folder.describe(self._description)
        return [
            replace(job, method=job.method.with_setting(chosen.get(job.method.name, {})))
            for job in runs
        ]

    def _spec(self, job: Job) -> dict[str, Any]:
        method = {
            "name": job.method.name,
            "type": job.method.type,
            "parameters": dict(job.method.parameters),
        }
        return run_spec(method, job.seed, self._description["spec"], job.after)


def _problems(failed: Failed) -> list[str]:
    return [f"{failed.job.label}: {problem}" for problem in failed.failure.problems]


def _in_short(result: RunResult, tasks: int) -> str:
    seconds = sum(
        timing[f"{kind}_seconds"] for timing in result.timings for kind in ("train", "eval")
    )
    value = _shown(f"average {_score(result)}", final_average(result, tasks))
    return f"{value}, {duration(seconds)}"


def _shown(what: str, share: float) -> str:
    return "diverged (loss not finite)" if math.isnan(share) else f"{what} {100 * share:.1f}"


def _score(result: RunResult) -> str:
    """Return the score of a run's tasks."""
    from cl_moe.analysis.scores import score_label

    return score_label(str(row["metric"]) for row in result.rows)
