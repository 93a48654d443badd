"""Avalanche's MAS, without batches of one row where the model needs two, and for losses of 0."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.models import avalanche_forward
from avalanche.training.plugins import MASPlugin
from avalanche.training.utils import zerolike_params_dict
from torch.utils.data import DataLoader

from cl_moe.batching import batches
from cl_moe.moe.normalisation import needs_two
from cl_moe.state import State
from cl_moe.strategies.baselines.named_data import data_by_name, state_of_data

__all__ = ("PairedMAS",)


class PairedMAS(MASPlugin):
    """MAS that computes importances on the batches of training, in order.

    Importances are those of Avalanche; but where the model needs two rows per batch, a single last
    row joins the batch before it.
    """

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """Add the penalty; Avalanche takes a loss of exactly 0 for a missing one, and raises."""
        if bool(strategy.loss):
            super().before_backward(strategy, **kwargs)
        else:
            strategy.loss = strategy.loss + 1
            super().before_backward(strategy, **kwargs)
            strategy.loss = strategy.loss - 1

    def _get_importance(self, strategy: Any) -> dict[str, Any]:
        """Return the mean over batches of the gradients of the outputs' norm, by parameter."""
        model, data = strategy.model, strategy.experience.dataset
        importance = dict(zerolike_params_dict(model))
        model.train()
        rows = batches(torch.arange(len(data)), strategy.train_mb_size, needs_two(model))
        loader = DataLoader(
            data, batch_sampler=[part.tolist() for part in rows], collate_fn=data.collate_fn
        )
        for batch in loader:
            strategy.optimizer.zero_grad()
            out = avalanche_forward(model, batch[0].to(strategy.device), batch[-1])
            torch.norm(out, p="fro", dim=1).pow(2).mean().backward()
            for name, parameter in model.named_parameters():
                if parameter.requires_grad and parameter.grad is not None:
                    importance[name].data += parameter.grad.abs()
        for value in importance.values():
            value.data /= float(len(loader))
        return importance

    def state(self) -> State:
        """Return the importances and the reference weights."""
        return state_of_data({"params": self.params, "importance": self.importance})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        for kind, held in data_by_name(state).items():
            setattr(self, kind, held)
