"""Check for networks that cannot train on batches of one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from cl_moe.batching import NO_SPREAD
from cl_moe.moe.experts.base import cut, make_module
from cl_moe.moe.normalisation import needs_two
from cl_moe.strategies.networks import trunk_stages

if TYPE_CHECKING:
    from cl_moe.strategies.context import MethodContext

__all__ = ("single_row_problems",)


def single_row_problems(context: MethodContext, joint: bool = False) -> list[str]:
    """Return why a trunk with batch normalisation would have to train on one row.

    Args:
        context: the settings that all methods share.
        joint: whether all tasks of the stream are learned together.
    """
    stream, training = context.stream, context.training
    apart = [*([] if joint else stream), *stream.probes]
    lone = [task.name for task in apart if task.n_train == 1]
    if joint and sum(task.n_train for task in stream) == 1:
        lone.append(stream[0].name)
    if not (lone or training.batch_size == 1) or not _refuses_one_row(context):
        return []
    cause = "the network has batch normalisation, which cannot train on one row"
    problems = []
    if training.batch_size == 1:
        problems.append(f"training.batch_size: 1, but {cause}; give 2 or more")
    if lone:
        names = ", ".join(f"'{name}'" for name in lone)
        problems.append(
            f"tasks with one training row: {names}, but {cause}; give them 2 rows or more, or "
            "another network"
        )
    return problems


def _refuses_one_row(context: MethodContext) -> bool:
    """Tell whether the trunk cannot train on one row; on images it can, over the pixels."""
    (factory,) = cut(trunk_stages(context.network), 1)
    shape: Any = tuple(context.stream.shape)
    trunk = make_module(factory, shape, 0)
    if not needs_two(trunk):
        return False
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            trunk.train()(torch.zeros(1, *shape))
    except ValueError as error:
        return NO_SPREAD in str(error)
    return False
