"""Distillation: keep the predictions for earlier tasks on the current inputs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.objectives.multilabel import Multilabel

__all__ = ("Distillation",)


class Distillation:
    """Keeps a mixture's predictions for earlier tasks, on the new task's inputs.

    Learning without Forgetting (Li & Hoiem 2016, eq. 2-3) for retrained experts: only these are
    copied for the teacher, in evaluation mode; all other parts are frozen and shared with it.

    Args:
        network: the network before retraining; its predictions are the targets.
        tasks: earlier tasks whose predictions are kept.
        retrained: (layer, id) of the experts to be retrained.
        strength: factor of the penalty.
        temperature: of both distributions (Hinton et al. 2015).
        objectives: objectives of earlier tasks other than classification. Their loss against the
            teacher's outputs (for labels, the probabilities) replaces the divergence.
    """

    def __init__(
        self,
        network: MoENetwork,
        tasks: Iterable[int],
        retrained: Iterable[tuple[int, str]],
        strength: float = 1.0,
        temperature: float = 2.0,
        objectives: Mapping[int, Objective] | None = None,
    ) -> None:
        self.objectives = dict(objectives or {})
        self.tasks, self.strength, self.temperature = list(tasks), strength, temperature
        retrained = list(retrained)
        changing = {id(network.moe_layers[depth].pool[id_]) for depth, id_ in retrained}
        shared = [
            module
            for layer in network.moe_layers
            for module in [*layer.pool.experts.values(), layer.gate, layer.common]
        ]
        shared += [*network.heads.values(), *network.backbone.unslotted()]
        memo = {id(module): module for module in shared if id(module) not in changing}
        self.teacher: MoENetwork = copy.deepcopy(network, memo)
        for depth, id_ in retrained:
            self.teacher.moe_layers[depth].pool[id_].eval()

    def penalty(self, network: MoENetwork, x: Tensor) -> Tensor:
        """Return strength x mean over tasks of T^2 KL(teacher || network) on rows x."""
        total = x.new_zeros(())
        others = x.new_zeros(())
        t = self.temperature
        for task in self.tasks:
            if task in self.objectives:
                others = others + self._distance(network, task, x)
                continue
            with torch.no_grad():
                target = F.softmax(self.teacher(x, task) / t, dim=1)
            log_p = F.log_softmax(network(x, task) / t, dim=1)
            total = total + F.kl_div(log_p, target, reduction="batchmean")
        shares = max(1, len(self.tasks))
        penalty = self.strength * t**2 * total / shares
        return penalty + self.strength * others / shares if self.objectives else penalty

    def _distance(self, network: MoENetwork, task: int, x: Tensor) -> Tensor:
        """Return the loss of a task without classes against the teacher's outputs."""
        objective = self.objectives[task]
        with torch.no_grad():
            outputs = self.teacher(x, task)
            target = outputs.sigmoid() if isinstance(objective, Multilabel) else outputs
        return objective.loss(network(x, task), target)

    @torch.no_grad()
    def agreement(self, network: MoENetwork, x: Tensor) -> dict[int, float]:
        """Return, for each earlier task, the share of rows x with an unchanged prediction.

        For a task without classes, the score of its predictions against the earlier ones.
        """
        found = {}
        for task in self.tasks:
            now, before = network(x, task), self.teacher(x, task)
            objective = self.objectives.get(task) or Classification(now.shape[1])
            found[task] = objective.metrics(now, objective.predict(before))[objective.score]
        return found
