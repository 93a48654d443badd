"""One run: one method learns one stream."""

from __future__ import annotations

import contextlib
import copy
import math
import shutil
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError, enough_memory
from cl_moe.objectives import SCORES
from cl_moe.references import NotImportedError
from cl_moe.runs.callbacks import TrainingCallback, attached, event_counts, events_since
from cl_moe.runs.environment import environment, peak_memory
from cl_moe.runs.failures import failure_of
from cl_moe.runs.kept import keep_model, keeps_model
from cl_moe.runs.plan import Job, Progress, ProgressCallback, RunResult, Streams, StudyPlan
from cl_moe.runs.randomness import isolated, preserve_random_state, seed_all
from cl_moe.seeding import derive

if TYPE_CHECKING:
    from cl_moe.strategies.methods.base import Method, MethodContext
    from cl_moe.streams.stream import TaskStream
    from cl_moe.training.evaluation import Record
    from cl_moe.training.model import TaskModel

__all__ = ("build_problems", "final_average", "run_one")


def run_one(plan: StudyPlan, job: Job, stream: TaskStream, tell: ProgressCallback) -> RunResult:
    """Train ``job``'s method on ``stream`` task by task, and return all that was measured.

    After each task (or after each ``training.evaluate_every`` tasks) every task seen so far is
    evaluated, and every later task that the method can predict; a task whose predictions cannot
    have changed keeps its values. Then the model is saved, if requested, and each probe is learned
    from a copy of the final state. The process's random states and thread count are restored.

    Args:
        plan: network, training, device, threads.
        job: method and seed.
        stream: the tasks. For a tuning job: training data only, and no probe is learned.
        tell: called with the progress of the run.

    Raises:
        InputError: the method cannot be built with its parameters, or its model cannot be saved.
    """
    with isolated(plan.threads), contextlib.ExitStack() as unless_whole:
        with enough_memory(job.label, "give smaller tasks or a smaller network"):
            run = _Run(plan, job, stream, tell)
        if run.joint:
            run.learn_jointly()
        else:
            run.look_ahead()
            for task in range(len(stream)):
                run.learn(task)
        kept = run.keep()
        if kept is not None:
            unless_whole.callback(shutil.rmtree, kept.parent, ignore_errors=True)
        for probe in range(len(stream.probes)):
            run.learn_probe(probe)
        unless_whole.pop_all()
        return run.result(kept)


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
                _build(plan, job, stream)
            except InputError as error:
                problems += error.problems
            except NotImportedError:  # cl-moe check builds installed parts alone
                pass
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a bug in a method
                reason = failure_of(error).reason
                problems += [f"method '{job.method.name}': cannot be built ({reason})"] * bugs
    return list(dict.fromkeys(problems))


def final_average(result: RunResult, tasks: int) -> float:
    """Return the mean accuracy (0..1) after the last of a stream's ``tasks``; nan if there is none.

    It is nan where training has diverged. It selects among the settings of a grid. For a task that
    is not a classification its score counts.

    >>> row = {"metric": "accuracy", "after_task": 1, "epoch": None}
    >>> final_average(RunResult([{**row, "value": 0.5}, {**row, "value": 1.0}], [], [], {}), 2)
    0.75
    """
    last = tasks - 1
    ends = [row for row in result.rows if row["epoch"] is None and row["after_task"] == last]
    if any(row["metric"] == "loss" and not math.isfinite(row["value"]) for row in ends):
        return float("nan")
    values = [row["value"] for row in ends if row["metric"] in SCORES.values()]
    return statistics.fmean(values) if values else float("nan")


class _Run:
    """The state of a run."""

    def __init__(
        self, plan: StudyPlan, job: Job, stream: TaskStream, tell: ProgressCallback
    ) -> None:
        self._plan, self._job, self._stream, self._tell = plan, job, stream, tell
        self._tasks = [*stream, *stream.probes]
        self._rows: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._timings: list[dict[str, Any]] = []
        method = _build(plan, job, stream)
        self._strategy, self.joint = method.strategy, method.joint
        if keeps_model(plan, job):  # raised now, not after training
            self._saveable()
        benchmark = stream.to_benchmark()
        # Avalanche makes a new experience on each access
        self._train_sets, self._test_sets = [*benchmark.train_stream], [*benchmark.test_stream]
        self._evaluated: Record = {}

    def result(self, model: Path | None) -> RunResult:
        found = environment(self._plan)
        kept = None if model is None else str(model)
        return RunResult(self._rows, self._events, self._timings, found, kept)

    def keep(self) -> Path | None:
        """Save the model, if it is to be kept, and return its path."""
        if self._plan.models is None or not keeps_model(self._plan, self._job):
            return None
        return keep_model(self._saveable(), self._plan.models)

    def _saveable(self) -> TaskModel:
        from cl_moe.strategies.saved import saveable

        method = self._job.method
        context = _context(self._plan, self._job, self._stream)
        return saveable(self._strategy.model, method.type, method.parameters, context)

    def look_ahead(self) -> None:
        """Evaluate the tasks that have predictions before anything is learned (after_task = -1).

        With one head per task there are none; else it is the reference of forward transfer.
        """
        with preserve_random_state():
            self._evaluate(self._strategy, range(len(self._stream)), after=-1)

    def learn(self, task: int) -> None:
        """Learn one task of the stream, then evaluate."""
        seed_all(derive(self._job.seed, "task", self._tasks[task].name, task))
        self._train(self._strategy, [task], after=task)

    def learn_jointly(self) -> None:
        """Learn all tasks of the stream at once."""
        seed_all(derive(self._job.seed, "joint"))
        self._train(self._strategy, range(len(self._stream)), after=len(self._stream) - 1)

    def learn_probe(self, probe: int) -> None:
        """Learn an unseen task from a copy of the state at the end of the stream."""
        strategy = copy.deepcopy(self._strategy)
        task = len(self._stream) + probe
        seed_all(derive(self._job.seed, "probe", self._tasks[task].name))
        self._train(strategy, [task], after=len(self._stream))

    def _train(self, strategy: Any, tasks: Sequence[int], after: int) -> None:
        told = event_counts(strategy)
        last = tasks[-1]
        callback = self._callback(strategy, last, joint=len(tasks) > 1)
        experiences = [self._train_sets[task] for task in tasks]
        start, cpu_start = time.perf_counter(), time.process_time()
        with attached(strategy, callback):
            strategy.train(experiences if self.joint else experiences[0], eval_streams=[])
        trained, cpu_trained = time.perf_counter(), time.process_time()
        memory = peak_memory()
        self._curve(callback, last, after)
        events = events_since(strategy, told)
        # The steps of candidates that a decision tried count: every method's work is all its work.
        steps = callback.steps + sum(int(event.get("steps", 0)) for event in events)
        with preserve_random_state():
            self._evaluate(strategy, self._evaluated_after(last), after)
            self._costs(strategy, last, after, steps)
        self._events += [self._of_this_run(event) for event in events]
        self._timings.append(
            self._of_this_run(
                {
                    "after_task": after,
                    "train_seconds": trained - start - callback.seconds,
                    "decision_seconds": float(sum(e.get("seconds", 0.0) for e in events)),
                    "eval_seconds": time.perf_counter() - trained + callback.seconds,
                    "cpu_seconds": cpu_trained - cpu_start - callback.cpu_seconds,
                    "peak_memory": memory,
                }
            )
        )

    def _callback(self, strategy: Any, task: int, joint: bool) -> TrainingCallback:
        stages = len(self._tasks)
        stage, name = task, self._tasks[task].name
        if self.joint:  # all tasks of the stream are one stage
            stages -= len(self._stream) - 1
            stage -= len(self._stream) - 1
        if joint:
            name = "all tasks"

        score = self._tasks[task].objective.score

        def tell(epoch: int, epochs: int, value: float | None) -> None:
            place = (self._job.label, stage, stages, name, epoch, epochs)
            self._tell(Progress(*place, value, score))

        def measure() -> float | None:
            from cl_moe.training.evaluation import evaluate

            found = evaluate(strategy, self._tests([task]))
            return found[0].score[1] if found else None

        whole = self._job.setting is None and self._job.after is None  # a run of the stream
        wanted = self._plan.curves and whole and not joint
        return TrainingCallback(tell, measure if wanted else None)

    def _curve(self, callback: TrainingCallback, task: int, after: int) -> None:
        for epoch, value in callback.curve:
            self._row(after, task, self._tasks[task].objective.score, value, epoch)

    def _evaluate(self, strategy: Any, tasks: Sequence[int], after: int) -> None:
        from cl_moe.training.evaluation import evaluate_changed

        for found in evaluate_changed(strategy, self._tests(tasks), self._evaluated):
            for metric, value in found.metrics.items():
                self._row(after, found.task, metric, value)

    def _evaluated_after(self, task: int) -> Sequence[int]:
        """Return the tasks that are evaluated once a task has been learned."""
        stream, every = len(self._stream), self._plan.training.evaluate_every
        if task >= stream or ((task + 1) % every and task + 1 < stream):
            return [task]
        return range(stream)

    def _tests(self, tasks: Sequence[int]) -> list[Any]:
        return [self._test_sets[task] for task in tasks]

    def _costs(self, strategy: Any, task: int, after: int, steps: int) -> None:
        from cl_moe.training.costs import cost

        if self._job.setting is not None:
            return
        costs = {**cost(strategy, task, self._stream.shape), "steps": steps}
        for metric, value in costs.items():
            if value is not None:
                self._row(after, task, metric, float(value))

    def _row(
        self, after: int, task: int, metric: str, value: float, epoch: int | None = None
    ) -> None:
        name = self._tasks[task].name
        row = {"after_task": after, "task": name, "metric": metric, "value": value, "epoch": epoch}
        self._rows.append(self._of_this_run(row))

    def _of_this_run(self, record: dict[str, Any]) -> dict[str, Any]:
        return {"method": self._job.method.name, "seed": self._job.seed, **record}


def _build(plan: StudyPlan, job: Job, stream: TaskStream) -> Method:
    from cl_moe.strategies.methods.base import build_method

    context = _context(plan, job, stream)
    seed_all(derive(job.seed, "method"))
    with enough_memory(f"method '{job.method.name}'", "give smaller parameters or networks"):
        return build_method(job.method.type, job.method.parameters, context, job.method.name)


def _context(plan: StudyPlan, job: Job, stream: TaskStream) -> MethodContext:
    from cl_moe.strategies.methods.base import MethodContext

    return MethodContext(
        stream=stream,
        network=plan.network,
        training=plan.training,
        seed=job.seed,
        device=plan.device,
    )
