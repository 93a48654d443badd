"""What is read on a path: its features, its answers, or what a stage of it puts out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ("Part", "Stage", "reach", "read_answers", "read_path")

Part = str | int
"""As in :class:`~cl_moe.moe.heads.Block`."""
Stage = Callable[[Tensor], Tensor]
"""A stage of a path, from one output to the next."""


def reach(parts: Collection[Part]) -> int | None:
    """Return how many of a path's stages must be run to read parts of it; None for all of them.

    >>> reach([0, 2]), reach([0, "features"])
    (3, None)
    """
    inner = [part for part in parts if isinstance(part, int)]
    return max(inner) + 1 if inner and len(inner) == len(parts) else None


def read_path(
    z: Tensor, stages: Sequence[Stage], head: nn.Module | None, parts: Collection[Part]
) -> dict[Part, Tensor]:
    """Run a path once and return what is asked for, each (B, D).

    Args:
        z: what the first stage reads. With no stages at all it is itself the features.
        stages: those that must be run, from the input up.
        head: gives the path's answers; needed only where they are asked for.
        parts: what is asked for.

    >>> import torch
    >>> read_path(torch.ones(1, 2), [lambda z: 2 * z, lambda z: 3 * z], None, [0, "features"])
    {0: tensor([[2., 2.]]), 'features': tensor([[6., 6.]])}
    """
    values: dict[Part, Tensor] = {}
    for number, stage in enumerate(stages):
        z = stage(z)
        if number in parts:
            values[number] = _flat(z)
    features = z.flatten(1)
    if "features" in parts:
        values["features"] = features
    if "answers" in parts or "log answers" in parts:
        assert head is not None, "answers need a head"
        values.update(read_answers(head(features), parts))
    return values


def read_answers(logits: Tensor, parts: Collection[Part]) -> dict[Part, Tensor]:
    """Return those of a task's answers, each (B, C), that are asked for.

    >>> import torch
    >>> read_answers(torch.zeros(1, 2), ["answers"])
    {'answers': tensor([[0.5000, 0.5000]])}
    """
    forms = {"answers": logits.softmax, "log answers": logits.log_softmax}
    return {part: form(1) for part, form in forms.items() if part in parts}


def _flat(z: Tensor) -> Tensor:
    """Return a stage's output as rows; images are averaged over 2 x 2 pixels first."""
    pooled = F.avg_pool2d(z, 2, ceil_mode=True) if z.dim() == 4 else z
    return pooled.flatten(1)
