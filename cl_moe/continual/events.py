"""Decisions as records to keep and sentences to read."""

from __future__ import annotations

from typing import Any

from cl_moe.continual.decision import Candidate, Decision
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import RAW
from cl_moe.moe.heads.base import Head
from cl_moe.moe.symmetry import Symmetry

__all__ = ("candidates_of", "sentence")

_PHRASES = {
    "matched": "uses the path and head of {source}, classes matched",
    "reuse": "reuses the frozen path of {source} under a new head",
    "ensemble": "is answered by an ensemble: {shares}",
    "branch": "shares the lower layers of {source} and grew the upper ones",
    "copy": "grew from a copy of the path of {source}",
    "fresh": "grew fresh experts",
    "reassign": "was given the experts of {source}, which are retrained",
    "fixed": "uses the fixed pool",
}


def sentence(decision: Decision, view: TaskView) -> str:
    """Return a decision in words, with the accuracies on held-out rows (percent) behind it.

    >>> import torch
    >>> from cl_moe.continual.decision import Evidence
    >>> from cl_moe.moe.edits import Assign
    >>> from cl_moe.moe.heads.linear import LinearHead
    >>> view = TaskView(
    ...     7,
    ...     "kmnist-low",
    ...     torch.zeros(1, 1),
    ...     torch.zeros(1),
    ...     2,
    ...     1,
    ...     1,
    ...     torch.optim.SGD,
    ...     names={4: "kmnist"},
    ... )
    >>> tried = (Candidate("matched", 4, 0.95), Candidate("fresh", None, 0.533))
    >>> evidence = Evidence(4, candidates=tried, chosen=0)
    >>> edits = (Assign(7, {}, LinearHead(1, 2)),)
    >>> print(sentence(Decision("matched", edits, evidence), view))
    task 7 'kmnist-low' uses the path and head of task 4 'kmnist', classes matched (held-out 95.0 against 53.3 fresh)
    """
    phrase = _PHRASES.get(decision.kind, decision.kind)
    shares = _shares(decision.head, view)
    done = phrase.format(source=_named(decision.evidence.source, view), shares=shares)
    return f"task {view.task} '{view.name}' {done}{_evidence(decision, view)}"


def _named(task: int | None, view: TaskView) -> str:
    return "" if task is None else f"task {task} '{view.name_of(task)}'"


def _shares(head: Head, view: TaskView) -> str:
    """Say what an average leans on, most first."""
    ranked = sorted(head.sources.items(), key=lambda pair: -pair[1])
    named = [
        f"{100 * share:.0f} % {'the raw input' if task == RAW.task else _named(task, view)}"
        f"{_seen(head, task)}"
        for task, share in ranked
    ]
    return ", ".join(named)


def _seen(head: Head, task: int) -> str:
    """Say through which symmetries a task's path sees the rows, if through any."""
    symmetries = dict.fromkeys(block.symmetry for block in head.blocks if block.task == task)
    if symmetries.keys() <= {None}:
        return ""
    return f" ({' and '.join(str(symmetry or Symmetry()) for symmetry in symmetries)})"


def _evidence(decision: Decision, view: TaskView) -> str:
    """Compare the winner with growing fresh, or with the next best candidate."""
    own = decision.evidence.winner
    if own is None:
        return ""
    others = [c for c in decision.evidence.candidates if c is not own and c.accuracy is not None]
    if own.accuracy is None or not others:
        return ""
    fresh = [c for c in others if c.kind == "fresh"]
    rival = fresh[0] if fresh else max(others, key=lambda c: c.accuracy or 0.0)
    what = rival.kind + (f" of {_named(rival.source, view)}" if rival.source is not None else "")
    early = ", dropped early" if rival.dropped else ""
    return f" (held-out {_points(own)} against {_points(rival)} {what}{early})"


def _points(candidate: Candidate) -> str:
    assert candidate.accuracy is not None
    return f"{100 * candidate.accuracy:.1f}"


def candidates_of(decision: Decision, view: TaskView) -> list[dict[str, Any]]:
    """Return what was weighed, as plain records."""
    return [
        {
            "kind": c.kind,
            "source": None if c.source is None else view.name_of(c.source),
            "accuracy": c.accuracy,
            "loss": c.loss,
            "dropped": c.dropped,
            "gain": c.gain,
        }
        for c in decision.evidence.candidates
    ]
