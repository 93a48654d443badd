"""Distillation: keep answering as before on inputs that are at hand."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.moe.network import MoENetwork

__all__ = ("Distillation",)


class Distillation:
    """Holds a mixture to the answers it gave for earlier tasks, on the new task's inputs.

    Learning without Forgetting (Li & Hoiem 2016, eq. 2-3) for the experts that are retrained alone:
    only those are copied for the teacher, in evaluation mode; all else is frozen and therefore
    shared with it.

    Args:
        network: the network as it stands; its present answers are the targets.
        tasks: earlier tasks whose answers are kept.
        retrained: (layer, id) of the experts that are about to change.
        strength: factor of the penalty.
        temperature: softens both distributions (Hinton et al. 2015).
    """

    def __init__(
        self,
        network: MoENetwork,
        tasks: Iterable[int],
        retrained: Iterable[tuple[int, str]],
        strength: float = 1.0,
        temperature: float = 2.0,
    ) -> None:
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
        """Return strength x T^2 x mean over tasks of KL(teacher || network) on rows x."""
        total = x.new_zeros(())
        t = self.temperature
        for task in self.tasks:
            with torch.no_grad():
                target = F.softmax(self.teacher(x, task) / t, dim=1)
            log_p = F.log_softmax(network(x, task) / t, dim=1)
            total = total + F.kl_div(log_p, target, reduction="batchmean")
        return self.strength * t**2 * total / max(1, len(self.tasks))

    @torch.no_grad()
    def agreement(self, network: MoENetwork, x: Tensor) -> dict[int, float]:
        """Return, for each earlier task, the share of rows x still answered as before."""
        return {
            task: float(
                (network(x, task).argmax(1) == self.teacher(x, task).argmax(1)).double().mean()
            )
            for task in self.tasks
        }
