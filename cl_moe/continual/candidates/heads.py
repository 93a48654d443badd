"""The heads of a new task's candidates, fitted in closed form where they begin so."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_moe.continual.candidates.plan import Plan
from cl_moe.continual.evidence.ensemble import Ensemble, EvidenceRows
from cl_moe.continual.evidence.matching import match_classes
from cl_moe.continual.evidence.ridge import fit_linear
from cl_moe.continual.evidence.rows import Values, evenly
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import OWN
from cl_moe.moe.heads.base import Head
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator

__all__ = ("RIDGE_ROWS", "Heads")

RIDGE_ROWS = 2000
"""Ridge heads are fitted to so many rows at most, evenly spread in case they are sorted."""


class Heads:
    """Makes the heads of a task's candidates, on all of its rows or on some.

    Args:
        view: the task.
        network: where earlier heads are.
        values: values on the task's rows of the blocks that the heads begin from.
        seen: the rows that are looked at for evidence, see
            :class:`~cl_moe.continual.evidence.ensemble.Ensemble`.
    """

    def __init__(
        self, view: TaskView, network: MoENetwork, values: Values, seen: EvidenceRows | None = None
    ) -> None:
        self.view, self.network, self.values = view, network, values
        self._ensemble = Ensemble(values, view.y, view.n_classes, seen, view.objective)

    @torch.no_grad()
    def of(self, plan: Plan, rows: Tensor | None = None) -> Head:
        """Return a plan's head as it is before training, fitted to the rows given."""
        view, network = self.view, self.network
        if plan.head == "evidence":
            weights = network.moe_layers[-1].gate.ensemble
            assert weights is not None, "the gate weighs no answers"
            draw = generator(network.seed, "route", view.task)  # the same paths for some rows
            return self._ensemble.head(plan.members, weights, rows, draw)
        if plan.head == "fresh" or (plan.head == "ridge" and not network.head_kind.fits):
            return network.new_head(view.task, view.n_classes)
        assert plan.source is not None
        (values,) = (self.values[block] for block in plan.blocks)
        y = view.y
        if rows is not None:
            values, y = values[rows], y[rows]
        if plan.head == "match":
            return network.head(plan.source).select(match_classes(values, y, view.n_classes))
        some = evenly(len(y), RIDGE_ROWS)
        if not bool(values[some].isfinite().all()):  # of a path whose training diverged
            return network.new_head(view.task, view.n_classes)
        answer = fit_linear(values[some], y[some], view.objective)
        return LinearHead.of(answer.weight, answer.bias)

    @torch.no_grad()
    def answers(self, plan: Plan, fit: Tensor, held: Tensor) -> Tensor:
        """Return a plan's logits (held, C) where it needs no experts trained."""
        if plan.head == "match":
            (block,) = plan.blocks
            values = self.values[block]
            classes = match_classes(values[fit], self.view.y[fit], self.view.n_classes)
            return values[held][:, classes]
        head = self.of(plan, fit)
        if head.reads_own_path:
            (block,) = plan.blocks
            shown = {OWN: self.values[block][held]}
        else:
            shown = {block: self.values[block][held] for block in head.blocks}
        logits: Tensor = head(shown)
        return logits
