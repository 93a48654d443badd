"""PackNet's schedule: train, assign weights to the task, train these again."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from cl_moe.state import State
from cl_moe.strategies.baselines.packed import PackedNetwork

__all__ = ("PackNetPlugin",)


class PackNetPlugin(SupervisedPlugin):
    """Packs a :class:`PackedNetwork` within the common budget of optimizer steps.

    Avalanche's PackNet swaps modules inside the model, which fails with one head per task, and
    needs a fixed list of shares.

    Args:
        tasks: number of tasks expected; each gets an equal share of all weights.
        keep: share of the free weights per task instead, as in the paper.
        retrain: share of a task's steps after packing.
    """

    def __init__(self, tasks: int, keep: float | None = None, retrain: float = 0.4) -> None:
        super().__init__()
        self.tasks, self.keep, self.retrain = tasks, keep, retrain
        self._pack_at = 0
        self._fixed: list[Tensor] = []

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Determine the step of packing, and store the weights that must not change."""
        if strategy.clock.train_exp_epochs == 0:
            steps = strategy.train_epochs * len(strategy.dataloader)
            self._pack_at = steps - round(self.retrain * steps)
            self._remember(_network(strategy))

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Pack at the step of packing."""
        network = _network(strategy)
        if strategy.clock.train_exp_iterations == self._pack_at and not network.packed:
            self._pack(network)

    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Remove the gradients of fixed weights, before the optimizer's statistics are updated."""
        for weight, mask in _network(strategy).trainable():
            if weight.grad is not None:
                weight.grad.mul_(mask)

    @torch.no_grad()
    def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Restore fixed weights, which momentum and weight decay change without a gradient."""
        trainable = _network(strategy).trainable()
        for (weight, mask), fixed in zip(trainable, self._fixed, strict=True):
            weight.copy_(torch.where(mask, weight, fixed))

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Pack, if the task ended before the step of packing."""
        if not _network(strategy).packed:
            self._pack(_network(strategy))

    def state(self) -> State:
        """Return the weights that the current task must not change."""
        return State({}, {str(n): weight.clone() for n, weight in enumerate(self._fixed)})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        self._fixed = [state.tensors[str(place)] for place in range(len(state.tensors))]

    def _pack(self, network: PackedNetwork) -> None:
        left = self.tasks - len(network.heads) + 1
        network.pack(1 / max(1, left) if self.keep is None else self.keep)
        self._remember(network)

    def _remember(self, network: PackedNetwork) -> None:
        self._fixed = [weight.detach().clone() for weight, _ in network.trainable()]


def _network(strategy: Any) -> PackedNetwork:
    network = strategy.model.network
    assert isinstance(network, PackedNetwork)
    return network
