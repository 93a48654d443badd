"""Shielding earlier tasks while one of their experts is retrained for a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from cl_moe.continual.decision import Decision
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.regularizers.distillation import Distillation
from cl_moe.continual.regularizers.ewc import EWC
from cl_moe.continual.usage import readers
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.state import State, merged, part_of

__all__ = ("Protection",)

Place = tuple[int, str]
"""Layer and id of an expert."""


class Protection:
    """Applies what a growth policy asks for: ``protect`` and ``protect_strength``.

    ``distillation`` keeps the earlier tasks' answers on the new task's inputs, ``ewc`` keeps the
    parameters of the expert near where the earlier tasks need them; neither stores old data. By
    default a policy asks for nothing.

    Args:
        growth: the policy.
        seed: where EWC's random numbers are derived from.

    Attributes:
        objectives: of tasks that are no classification, by label.
    """

    def __init__(self, growth: GrowthPolicy, seed: int = 0) -> None:
        self.kind, self.strength = growth.protect, growth.protect_strength
        self.remembers = self.kind == "ewc" and growth.max_experts is not None
        self.seed = seed
        self.objectives: Mapping[int, Objective] = {}
        self.penalties: dict[Place, EWC] = {}
        self.retrained: tuple[Place, ...] = ()
        self.memory: Distillation | None = None

    def start(self, network: MoENetwork, decision: Decision) -> None:
        """Remember what the tasks that use the experts to be retrained answer now."""
        self.retrained, self.memory = decision.retrain, None
        if not decision.retrain:
            return
        use = readers(network)
        tasks = sorted({task for place in decision.retrain for task in use.get(place, {})})
        self.memory = Distillation(
            network, tasks, decision.retrain, self.strength, objectives=self.objectives
        )

    def penalty(self, network: MoENetwork, x: Tensor) -> Tensor:
        """Return the penalty for a batch; 0 where no expert is being retrained."""
        if self.memory is None or self.kind == "none":
            return x.new_zeros(())
        if self.kind == "distillation":
            return self.memory.penalty(network, x)
        parts = [
            self.penalties[place].penalty(dict(_expert(network, place).named_parameters()))
            for place in self.retrained
            if place in self.penalties
        ]
        return torch.stack(parts).sum() if parts else x.new_zeros(())

    def end_task(self, network: MoENetwork, task: int, x: Tensor, y: Tensor) -> dict[int, float]:
        """Note what the task's experts hold for it, and how far earlier tasks answer as before.

        Returns:
            For each earlier task that uses a retrained expert, the share of the new inputs that it
            still answers as before; empty where none was retrained.
        """
        if self.remembers and network.owns_path(task):
            for depth, experts in enumerate(network.path(task)):
                for id_ in experts:
                    self._remember(network, (depth, id_), task, x, y)
        memory, self.memory, self.retrained = self.memory, None, ()
        return memory.agreement(network, x) if memory is not None else {}

    def state(self) -> State:
        """Return what is remembered of experts between tasks."""
        parts = {f"{depth}/{id_}": ewc.state() for (depth, id_), ewc in self.penalties.items()}
        return merged(parts)

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        for name in state.plain:
            depth, _, id_ = name.partition("/")
            ewc = EWC(self.strength, seed=self.seed, vectorize=False)
            ewc.restore(part_of(state, name))
            self.penalties[int(depth), id_] = ewc

    def _remember(self, network: MoENetwork, place: Place, task: int, x: Tensor, y: Tensor) -> None:
        depth, id_ = place
        prefix = f"backbone.layers.{depth}.pool.experts.{id_}."
        objective = self.objectives.get(task) or Classification(network.n_classes(task))

        def log_likelihood(parameters: Mapping[str, Tensor], x_B: Tensor) -> Tensor:
            given = {prefix + name: value for name, value in parameters.items()}
            outputs: Tensor = functional_call(network, given, (x_B, task))
            return objective.normalised(outputs)

        # a gate by row sends each row its own way, which cannot be vectorised
        fresh = EWC(self.strength, seed=self.seed, vectorize=False)
        ewc = self.penalties.setdefault(place, fresh)
        own = dict(_expert(network, place).named_parameters())
        ewc.consolidate(own, log_likelihood, x, objective.targets(y), objective)


def _expert(network: MoENetwork, place: Place) -> Any:
    depth, id_ = place
    return network.moe_layers[depth].pool[id_]
