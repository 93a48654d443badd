"""One run: one method learns one stream."""

from __future__ import annotations

import contextlib
import copy
import math
import random
import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import enough_memory
from cl_moe.objectives import SCORES
from cl_moe.runs.build import build, context_of
from cl_moe.runs.callbacks import TrainingCallback, attached, event_counts, events_since
from cl_moe.runs.checkpoints.resuming import DAMAGE, Resuming
from cl_moe.runs.environment import environment, peak_memory
from cl_moe.runs.folder.kept import keep_model, keeps_model
from cl_moe.runs.plan import Job, Progress, ProgressCallback, RunResult, StudyPlan
from cl_moe.runs.randomness import isolated, preserve_random_state, seed_all
from cl_moe.runs.recording import RunRecord
from cl_moe.runs.stopwatch import Stopwatch
from cl_moe.seeding import derive
from cl_moe.state import State
from cl_moe.streams.spec import sample_size

if TYPE_CHECKING:
    from cl_moe.streams.stream import TaskStream
    from cl_moe.training.model import TaskModel

__all__ = ("final_average", "run_one")


def run_one(plan: StudyPlan, job: Job, stream: TaskStream, tell: ProgressCallback) -> RunResult:
    """Train ``job``'s method on ``stream`` task by task, and return all that was measured.

    After each task (or after each ``training.evaluate_every`` tasks) every task seen so far is
    evaluated, and every later task that the method can predict; a task whose predictions cannot
    have changed keeps its values. Then the model is saved, if requested, and each probe is learned
    from a copy of the final state. A run that was stopped continues from its last checkpoint, if
    there is one, with the same rows. The process's random states and thread count are restored.

    Args:
        plan: network, training, device, threads.
        job: method and seed.
        stream: the tasks. For a tuning job: training data only, and no probe is learned.
        tell: called with the progress of the run.

    Raises:
        InputError: the method cannot be built with its parameters, or its model cannot be saved.
    """
    with isolated(plan.threads), contextlib.ExitStack() as unless_whole:
        run = _begun(plan, job, stream, tell)
        with contextlib.closing(run.resuming):
            while run.stage < run.learning:
                run.learn()
            kept = run.keep()
            if kept is not None:
                unless_whole.callback(shutil.rmtree, kept.parent, ignore_errors=True)
            while run.stage < run.learning + len(stream.probes):
                run.learn_probe()
        unless_whole.pop_all()
        return run.result(kept)


def _begun(plan: StudyPlan, job: Job, stream: TaskStream, tell: ProgressCallback) -> _Run:
    """Return a run at its start, or where its last checkpoint is."""
    with enough_memory(job.label, "give smaller tasks or a smaller network"):
        run = _Run(plan, job, stream, tell)
    try:
        run.resume()
    except DAMAGE:  # the checkpoint was written by other code
        run = _Run(plan, job, stream, tell)
        run.resuming.discard()
        run.resume()
    return run


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
        self._record = RunRecord(job)
        method = build(plan, job, stream)
        self._strategy, self.joint = method.strategy, method.joint
        if keeps_model(plan, job):  # raised now, not after training
            self._saveable()
        benchmark = stream.to_benchmark()
        # Avalanche makes a new experience on each access
        self._train_sets, self._test_sets = [*benchmark.train_stream], [*benchmark.test_stream]
        self.learning = 1 if self.joint else len(stream)
        """Number of stages in which the stream is learned; each probe is a further stage."""
        self.stage = 0
        """Number of finished stages."""
        self.resuming = Resuming(plan, job, self._record)
        self._within: State | None = None

    def resume(self) -> None:
        """Continue from the last checkpoint, or start: evaluate before anything is learned."""
        saved = self.resuming.load(self._strategy)
        if saved is None:
            if not self.joint:
                self.look_ahead()
            if self.resuming.steps is not None:  # else a checkpoint would hold nothing
                self.resuming.save(0, None)
            return
        self.stage, self._within = saved.stage, saved.within
        self._record.restore(saved.log)
        if saved.state is not None:
            from cl_moe.training.resume import restore_strategy

            restore_strategy(self._strategy, saved.state)

    def result(self, model: Path | None) -> RunResult:
        found = environment(self._plan)
        return self._record.result(found, None if model is None else str(model))

    def keep(self) -> Path | None:
        """Save the model, if it is to be kept, and return its path."""
        if self._plan.models is None or not keeps_model(self._plan, self._job):
            return None
        return keep_model(self._saveable(), self._plan.models)

    def _saveable(self) -> TaskModel:
        from cl_moe.strategies.saved import saveable

        method = self._job.method
        context = context_of(self._plan, self._job, self._stream)
        return saveable(self._strategy.model, method.type, method.parameters, context)

    def look_ahead(self) -> None:
        """Evaluate the tasks that have predictions before anything is learned (after_task = -1).

        With one head per task there are none; else it is the reference of forward transfer.
        """
        with preserve_random_state():
            self._evaluate(self._strategy, range(len(self._stream)), after=-1)

    def learn(self) -> None:
        """Learn the next task of the stream, or all of them jointly, then evaluate."""
        stage, last = self.stage, len(self._stream) - 1
        if self.joint:
            seed_all(derive(self._job.seed, "joint"))
            self._train(self._strategy, range(len(self._stream)), after=last)
        else:
            seed_all(derive(self._job.seed, "task", self._tasks[stage].name, stage))
            self._train(self._strategy, [stage], after=stage)
        self._finish()

    def learn_probe(self) -> None:
        """Learn the next unseen task from a copy of the state at the end of the stream."""
        strategy = copy.deepcopy(self._strategy)
        task = len(self._stream) + self.stage - self.learning
        seed_all(derive(self._job.seed, "probe", self._tasks[task].name))
        self._train(strategy, [task], after=len(self._stream))
        self._finish()

    def _finish(self) -> None:
        self.stage += 1
        self.resuming.save(self.stage, self._strategy)

    def _train(self, strategy: Any, tasks: Sequence[int], after: int) -> None:
        told = event_counts(strategy)
        last = tasks[-1]
        callback = self._callback(strategy, last, joint=len(tasks) > 1)
        experiences = [self._train_sets[task] for task in tasks]
        clock = Stopwatch()
        with attached(strategy, callback), self._checkpoints(strategy, clock):
            strategy.train(experiences if self.joint else experiences[0], eval_streams=[])
        clock.stop()
        memory = peak_memory()
        self._curve(callback, last, after)
        events = events_since(strategy, told)
        # The steps of candidates that a decision tried count: every method's work is all its work.
        steps = callback.steps + sum(int(event.get("steps", 0)) for event in events)
        start = time.perf_counter()
        with preserve_random_state():
            self._evaluate(strategy, self._evaluated_after(last), after)
            self._costs(strategy, last, after, steps)
        for event in events:
            self._record.event(event)
        self._record.timing(
            {
                "after_task": after,
                "train_seconds": clock.seconds - callback.seconds,
                "decision_seconds": float(sum(e.get("seconds", 0.0) for e in events)),
                "eval_seconds": time.perf_counter() - start + callback.seconds,
                "cpu_seconds": clock.cpu_seconds - callback.cpu_seconds,
                "peak_memory": memory,
            }
        )

    def _checkpoints(self, strategy: Any, clock: Stopwatch) -> AbstractContextManager[None]:
        """Return the context of training in which checkpoints within the stage are written."""
        steps, start = self.resuming.steps, self._within
        self._within = None
        if not self.resuming.active or (steps is None and start is None):
            return contextlib.nullcontext()
        from cl_moe.training.stepping import Stepping, stepped

        if start is not None:
            clock.restore(start.plain["clock"])
        save = self.resuming.save_within

        def keep(training: State) -> None:
            save(State({**training.plain, "clock": clock.state()}, training.tensors))

        return stepped(strategy, Stepping(steps, keep, start))

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

        for found in evaluate_changed(strategy, self._tests(tasks), self._record.evaluated):
            for metric, value in found.metrics.items():
                self._row(after, found.task, metric, value)

    def _evaluated_after(self, task: int) -> Sequence[int]:
        """Return the tasks that are evaluated once a task has been learned."""
        stream, every = len(self._stream), self._plan.training.evaluate_every
        if task >= stream or ((task + 1) % every and task + 1 < stream):
            return [task]
        size = sample_size(self._plan.training.evaluate)
        if size is None or task + 1 == stream:
            return range(stream)
        draw = random.Random(derive(self._job.seed, "evaluate", task))
        return sorted([*draw.sample(range(task), min(size, task)), task])

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
        self._record.row(after, self._tasks[task].name, metric, value, epoch)
