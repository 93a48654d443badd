"""A growth policy that goes by what autoencoders of earlier tasks make of the new one."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_moe.continual.decision import (
    Candidate,
    Decision,
    Evidence,
    decide_path,
    fresh_expert,
)
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.state import State

__all__ = ("ExpertGate",)


class ExpertGate(GrowthPolicy):
    """Reuses the experts of the most related task where it is related enough; grows otherwise.

    Aljundi, Chakravarty & Tuytelaars 2017, "Expert Gate: lifelong learning with a network of
    experts" (CVPR), section 3.3. Each task has an autoencoder of its inputs. With errors Er_a of
    task a's and Er of the new task's own autoencoder on the new task's rows, the relatedness is

        Rel(a) = 1 - (Er_a - Er) / Er

    Their autoencoder has one hidden layer; here it is linear, so that its optimum is known: the
    principal components. Where they fine-tune a related expert, it is used as it is, frozen, under
    a new head. Nothing is trained to decide.

    Args:
        components: principal components an autoencoder has.
        related: the relatedness from which a task's experts are reused.

    >>> ExpertGate(components=4).freezes
    True
    """

    def __init__(self, components: int = 16, related: float = 0.85) -> None:
        if components < 1:
            raise ValueError(f"components: {components} must be 1 or more")
        self.components, self.related = components, related
        self.known: dict[int, tuple[Tensor, Tensor]] = {}

    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Return the experts of the most related task, or fresh ones, under a new head."""
        own = _error(view.x, *_fitted(view.x, self.components))
        found = {
            task: float(1 - (_error(view.x, *coder) - own) / own)
            for task, coder in self.known.items()
            if network.owns_path(task)
        }
        tried = tuple(Candidate("reuse", task, gain=value) for task, value in found.items())
        best = max(found, key=lambda task: found[task], default=None)
        head = network.new_head(view.task, view.n_classes)
        if best is not None and found[best] >= self.related:
            evidence = Evidence(best, tried, list(found).index(best))
            edits = decide_path(network, view.task, network.path(best), head)
            return Decision("reuse", edits, evidence)
        evidence = Evidence(None, (*tried, Candidate("fresh")), len(tried))
        path = tuple((fresh_expert(layer),) for layer in network.moe_layers)
        return Decision("fresh", decide_path(network, view.task, path, head), evidence)

    def learned(self, view: TaskView, network: MoENetwork, decision: Decision) -> None:
        """Keep the task's autoencoder."""
        self.known[view.task] = _fitted(view.x, self.components)

    def state(self) -> State:
        """Return the autoencoders of the tasks so far."""
        means = {f"{task}.mean": mean for task, (mean, _) in self.known.items()}
        axes = {f"{task}.axes": axes for task, (_, axes) in self.known.items()}
        return State({"tasks": list(self.known)}, means | axes)

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        held, tasks = state.tensors, state.plain["tasks"]
        self.known = {task: (held[f"{task}.mean"], held[f"{task}.axes"]) for task in tasks}


def _fitted(x: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Return the rows' mean (D,) and principal components (C, D)."""
    x_ND = x.flatten(1).float().cpu()
    mean_D = x_ND.mean(0)
    axes = torch.linalg.svd(x_ND - mean_D, full_matrices=False).Vh
    return mean_D, axes[:components].clone()


def _error(x: Tensor, mean_D: Tensor, axes_CD: Tensor) -> Tensor:
    """Return the mean squared error of the rows' reconstruction."""
    centred = x.flatten(1).float().cpu() - mean_D
    return (centred - centred @ axes_CD.T @ axes_CD).square().mean() + 1e-6
