"""The record of a run: rows, decisions, timings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cl_moe.runs.plan import Job, RunResult

if TYPE_CHECKING:
    from cl_moe.training.evaluation import Record

__all__ = ("RunRecord",)


class RunRecord:
    """What a run has measured so far, and what of it is not in a checkpoint yet.

    Args:
        job: the run.

    >>> from cl_moe.runs.plan import MethodPlan
    >>> record = RunRecord(Job(MethodPlan("dense", "dense"), 0))
    >>> record.row(0, "mnist", "accuracy", 0.5)
    >>> again = RunRecord(Job(MethodPlan("dense", "dense"), 0))
    >>> again.restore(record.news())
    >>> again.rows == record.rows, list(record.news())
    (True, [])
    """

    def __init__(self, job: Job) -> None:
        self._run = {"method": job.method.name, "seed": job.seed}
        self.rows: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.timings: list[dict[str, Any]] = []
        self.evaluated: Record = {}
        """The last evaluation of each task, see :func:`cl_moe.training.evaluation`."""
        self._seen: dict[str, Any] = {"row": 0, "event": 0, "timing": 0, "evaluated": {}}

    def row(
        self, after: int, task: str, metric: str, value: float, epoch: int | None = None
    ) -> None:
        """Add a measured value."""
        row = {"after_task": after, "task": task, "metric": metric, "value": value, "epoch": epoch}
        self.rows.append(self._run | row)

    def event(self, event: Mapping[str, Any]) -> None:
        """Add a decision."""
        self.events.append(self._run | dict(event))

    def timing(self, timing: Mapping[str, Any]) -> None:
        """Add the times of a task."""
        self.timings.append(self._run | dict(timing))

    def result(self, environment: dict[str, Any], model: str | None) -> RunResult:
        """Return the result of the finished run."""
        return RunResult(self.rows, self.events, self.timings, environment, model)

    def news(self) -> Iterable[tuple[str, Any]]:
        """Yield all that was added since the last call, as pairs of a kind and a record."""
        for kind, held in self._lists().items():
            for item in held[self._seen[kind] :]:
                yield kind, item
            self._seen[kind] = len(held)
        for task, (fingerprint, evaluation) in self.evaluated.items():
            if self._seen["evaluated"].get(task) != fingerprint:
                self._seen["evaluated"][task] = fingerprint
                yield "evaluated", [fingerprint.hex(), vars(evaluation)]

    def restore(self, log: Iterable[tuple[str, Any]]) -> None:
        """Restore the results of all calls of :meth:`news`."""
        from cl_moe.training.evaluation import Evaluation

        lists = self._lists()
        for kind, item in log:
            if kind == "evaluated":
                fingerprint, fields = item
                evaluation = Evaluation(**fields)
                self.evaluated[evaluation.task] = (bytes.fromhex(fingerprint), evaluation)
            else:
                lists[kind].append(item)
        for _ in self.news():
            pass

    def _lists(self) -> dict[str, list[dict[str, Any]]]:
        return {"row": self.rows, "event": self.events, "timing": self.timings}
